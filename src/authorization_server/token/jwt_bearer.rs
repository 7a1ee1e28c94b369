//! Redeeming an identity assertion (RFC 7523 section 2.1, profile ID-JAG).
//!
//! The identity provider of the company has decided that the client may act for the person, so nobody is asked here. What
//! it said is compared with what is asked: client, authorization server, resource and scope. The client learns one error
//! for everything, since who is trusted is not for it to find out.

use http::StatusCode;

use super::{Granted, token_error, token_unavailable};
use crate::{
    authorization_server::{
        AuthorizationServer,
        authorize::{canonical, is_resource},
        clients::{Authentication, Client},
    },
    crypto::{Digest, random_token},
    identity::id_jag::{Assertion, Refused},
    oauth::{Params, TokenError, scope},
    routes::Route,
    store::{AssertionRedemption, Grant, GrantId, RedeemedAssertion},
    web::{Origin, Request, Response},
};

/// Why an assertion that is believed does not do for this request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Misfit(TokenError, &'static str);

impl AuthorizationServer {
    /// Redeems an assertion for the client that authenticated, once.
    pub(super) async fn redeem_assertion(&self, request: &Request, params: &Params, client: &Client) -> Response {
        let refused = |error, reason| token_error(request, Some(client), error, reason);
        if matches!(client.authentication, Authentication::None) {
            return refused(TokenError::UnauthorizedClient, "public_client");
        }
        let (Ok(Some(text)), Ok(resource), Ok(scope)) =
            (params.get("assertion"), params.get("resource"), params.get("scope"))
        else {
            return refused(TokenError::InvalidRequest, "malformed_parameters");
        };
        let assertion = match self.identity.trusted_issuers().verify(text).await {
            Ok(assertion) => assertion,
            Err(error @ Refused::Keys(_)) => {
                tracing::warn!(event = "mcp_auth_assertion_keys_unavailable", requestId = %request.id, %error,
                    "the keys of a trusted issuer cannot be had");
                return refused(TokenError::TemporarilyUnavailable, error.reason());
            }
            Err(error) => {
                tracing::info!(event = "mcp_auth_assertion_rejected", requestId = %request.id, clientId = %client.id,
                    outcome = "denied", failureOrigin = "client", reasonCode = error.reason(), %error,
                    "an identity assertion was not believed");
                return refused(TokenError::InvalidGrant, error.reason());
            }
        };
        let (route, scope) = match self.fit(&assertion, client, &request.origin, resource, scope) {
            Ok(fit) => fit,
            Err(Misfit(error, reason)) => return refused(error, reason),
        };
        let now = self.clock.now();
        let ends_at = now.plus(self.settings.access_token_ttl);
        let access_token = random_token("at_");
        let redemption = AssertionRedemption {
            assertion: assertion.name,
            remember_until: assertion.remember_until,
            grant: Grant {
                id: GrantId(random_token("")),
                subject: assertion.user.subject.clone(),
                client_id: client.id.clone(),
                operation_id: route.operation_id.clone(),
                resource: canonical(&request.origin, route),
                scope,
                created_at: now,
                expires_at: ends_at,
            },
            user: assertion.user,
            access: Digest::of(&access_token),
            access_expires_at: ends_at,
        };
        let grant = &redemption.grant;
        match self.store.redeem_assertion(&redemption, now).await {
            Ok(RedeemedAssertion::Redeemed) => {
                self.note_use(client, now).await;
                tracing::info!(event = "mcp_auth_downstream_token_issued", requestId = %request.id,
                    clientId = %client.id, subjectId = %grant.subject, operationId = %grant.operation_id,
                    grantId = %grant.id, grantType = "jwt-bearer", outcome = "success", "tokens issued");
                Granted {
                    access_token: &access_token,
                    token_type: "Bearer",
                    expires_in: self.settings.access_token_ttl.as_secs(),
                    refresh_token: None,
                    scope: &grant.scope,
                    resource: &grant.resource,
                }
                .response()
            }
            Ok(RedeemedAssertion::Replayed) => {
                tracing::warn!(event = "mcp_auth_assertion_replayed", requestId = %request.id, clientId = %client.id,
                    subjectId = %grant.subject, operationId = %grant.operation_id, "an identity assertion came twice");
                refused(TokenError::InvalidGrant, "replayed_assertion")
            }
            Err(error) => token_unavailable(request, &error),
        }
    }

    /// The route and the scope that the assertion and the request agree on.
    fn fit(
        &self,
        assertion: &Assertion,
        client: &Client,
        origin: &Origin,
        resource: Option<&str>,
        scope: Option<&str>,
    ) -> Result<(&Route, String), Misfit> {
        if assertion.client_id != client.id.as_str() {
            return Err(Misfit(TokenError::InvalidGrant, "assertion_of_another_client"));
        }
        let route = self.asserted_route(assertion, origin)?;
        if resource.is_some_and(|requested| !is_resource(&canonical(origin, route), requested)) {
            return Err(Misfit(TokenError::InvalidTarget, "wrong_resource"));
        }
        Ok((route, asserted_scope(assertion.scope.as_deref(), scope)?))
    }

    /// The route that an assertion is for.
    ///
    /// Its audience is the issuer of one route, or that of the whole gateway; then its resource, or there being but one
    /// route, says which. Of several resources all must be that route: a token is good for one.
    fn asserted_route(&self, assertion: &Assertion, origin: &Origin) -> Result<&Route, Misfit> {
        let names = |route: &Route, resource: &String| is_resource(&canonical(origin, route), resource);
        let is_named = |route: &&Route| assertion.resources.iter().all(|resource| names(route, resource));
        let mut routes = self.routes.iter().map(AsRef::as_ref);
        let route = if assertion.audience != origin.to_string() {
            let own = routes.find(|route| canonical(origin, route) == assertion.audience);
            own.ok_or(Misfit(TokenError::InvalidGrant, "assertion_audience"))?
        } else if assertion.resources.is_empty() {
            let sole = self.routes.sole().map(AsRef::as_ref);
            sole.ok_or(Misfit(TokenError::InvalidGrant, "assertion_resource"))?
        } else {
            routes.find(is_named).ok_or(Misfit(TokenError::InvalidGrant, "assertion_resource"))?
        };
        if is_named(&route) { Ok(route) } else { Err(Misfit(TokenError::InvalidGrant, "assertion_resource")) }
    }
}

/// What both the assertion and the request allow; each that says nothing allows everything.
///
/// A scope that this resource does not have makes the assertion one for something else.
fn asserted_scope(allowed: Option<&str>, requested: Option<&str>) -> Result<String, Misfit> {
    let known = |scope: &str| matches!(scope, scope::TOOLS | scope::OFFLINE_ACCESS);
    if let Some(allowed) = allowed
        && (!allowed.split(' ').all(known) || !scope::contains(allowed, scope::TOOLS))
    {
        return Err(Misfit(TokenError::InvalidGrant, "assertion_scope"));
    }
    match requested {
        Some(requested) if !scope::contains(requested, scope::TOOLS) => {
            Err(Misfit(TokenError::InvalidScope, "scope_beyond_assertion"))
        }
        _ => Ok(scope::TOOLS.to_owned()),
    }
}

impl Granted<'_> {
    fn response(&self) -> Response {
        Response::json(StatusCode::OK, self).with(http::header::PRAGMA, "no-cache")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scope_is_what_assertion_and_request_have_in_common() {
        let granted = Ok("mcp:tools".to_owned());
        let (beyond, other) = (
            Err(Misfit(TokenError::InvalidScope, "scope_beyond_assertion")),
            Err(Misfit(TokenError::InvalidGrant, "assertion_scope")),
        );
        for (allowed, requested, expected) in [
            (None, None, &granted),
            (Some("mcp:tools"), None, &granted),
            (Some("mcp:tools offline_access"), Some("mcp:tools"), &granted),
            (None, Some("mcp:tools profile"), &granted),
            (Some("mcp:tools"), Some("profile"), &beyond),
            (None, Some(""), &beyond),
            (Some("mcp:tools files:read"), None, &other),
            (Some("offline_access"), None, &other),
            (Some(""), None, &other),
            (Some("MCP:TOOLS"), None, &other),
        ] {
            assert_eq!(&asserted_scope(allowed, requested), expected, "{allowed:?} {requested:?}");
        }
    }
}
