//! `/account`: what a person has connected, and whom they have let in; each can be ended here.

use http::{Method, StatusCode};
use time::OffsetDateTime;

use super::Connect;
use crate::{
    clock::Timestamp,
    identity::{SignedIn, Trouble, page_response, store_trouble, trouble_page},
    oauth::{ClientIdUrl, Params},
    pages::{
        Account, Application, Connection, ConnectionDates, ConnectionState, Field, Form, LocalHref, SafeText, safe_text,
    },
    routes::Route,
    store::{self, Change, ClientId, ConnectionKey, Grant, GrantId, Owner},
    upstream::connections::{connect_path, key_for},
    web::{Request, Response},
};

impl Connect {
    /// Answers a request to the account page.
    pub async fn account(&self, request: &Request) -> Response {
        match request.method {
            Method::GET => self.show_account(request).await,
            Method::POST => self.change_account(request).await,
            _ => Response::method_not_allowed(&request.id, "GET, HEAD, POST"),
        }
    }

    async fn show_account(&self, request: &Request) -> Response {
        let signed_in = match self.signed_in_or_login(request).await {
            Ok(signed_in) => signed_in,
            Err(answer) => return answer,
        };
        match self.account_page(&signed_in).await {
            Ok(page) => page_response(&page, StatusCode::OK),
            Err(error) => store_trouble(request, &error),
        }
    }

    async fn account_page(&self, signed_in: &SignedIn) -> store::Result<Account> {
        let subject = &signed_in.user().subject;
        let mut connections: Vec<Connection> = Vec::new();
        let mut seen: Vec<ConnectionKey> = Vec::new();
        for route in self.routes.iter() {
            let Some(server) = self.servers.of(&route.operation_id) else { continue };
            let Some(key) = key_for(subject, server) else { continue };
            if seen.contains(&key) || (key.owner == Owner::Shared && !self.is_admin(signed_in.user())) {
                continue;
            }
            let connection = self.connection(signed_in, route, &key).await?;
            let missing = matches!(connection.state, ConnectionState::NotConnected { .. });
            if missing && !self.settings.policies.may_use(&route.operation_id, &signed_in.user().claims) {
                continue;
            }
            connections.push(connection);
            seen.push(key);
        }
        let mut applications = Vec::new();
        for grant in self.store.grants_of(subject, self.clock.now()).await? {
            applications.push(self.application(signed_in, &grant).await?);
        }
        Ok(Account {
            user: super::link::shown(signed_in),
            sign_out: LocalHref::new(&self.identity.sign_out_path()),
            connections,
            applications,
            remembered: self.remembered(signed_in).await?,
        })
    }

    async fn connection(&self, signed_in: &SignedIn, route: &Route, key: &ConnectionKey) -> store::Result<Connection> {
        let query =
            form_urlencoded::Serializer::new(String::new()).append_pair("operationId", &route.operation_id).finish();
        let connect = self.settings.base_path.path(&connect_path(&key.upstream_id));
        let connect = LocalHref::new(&format!("{connect}?{query}"));
        let kept = self.store.connection(key).await?;
        let scopes = kept.as_ref().and_then(|kept| kept.scope.as_deref()).unwrap_or_default();
        let scopes = scopes.split_whitespace().map(safe_text).collect();
        let state = match &kept {
            None => ConnectionState::NotConnected { connect },
            Some(kept) => {
                let dates = ConnectionDates {
                    since: safe_text(&day(kept.connected_at)),
                    changed: safe_text(&day(kept.updated_at)),
                    used: kept.last_used_at.map(|at| safe_text(&day(at))),
                };
                let disconnect = self.form(signed_in, "disconnect", &key.upstream_id);
                match kept.state {
                    store::ConnectionState::Live => ConnectionState::Connected { dates, disconnect },
                    store::ConnectionState::Ended => {
                        ConnectionState::NeedsRenewal { dates, reconnect: connect, disconnect }
                    }
                }
            }
        };
        Ok(Connection { upstream: safe_text(&route.upstream_title), scopes, shared: key.owner == Owner::Shared, state })
    }

    async fn application(&self, signed_in: &SignedIn, grant: &Grant) -> store::Result<Application> {
        Ok(Application {
            name: self.client_name(&grant.client_id).await?,
            route: self.route_title(&grant.operation_id),
            approved: safe_text(&day(grant.created_at)),
            revoke: self.form(signed_in, "revoke", &grant.id.0),
        })
    }

    /// What people know a client by: the name that it registered, or the host of its document.
    pub(super) async fn client_name(&self, id: &ClientId) -> store::Result<SafeText> {
        if let Ok(url) = ClientIdUrl::parse(id.as_str()) {
            return Ok(safe_text(&url.host()));
        }
        let client = self.store.client(id).await?;
        Ok(safe_text(client.as_ref().and_then(|client| client.name.as_deref()).unwrap_or_default()))
    }

    pub(super) fn route_title(&self, operation_id: &str) -> SafeText {
        safe_text(self.routes.of(operation_id).map_or(operation_id, |route| &route.title))
    }

    pub(super) fn form(&self, signed_in: &SignedIn, action: &'static str, subject: &str) -> Form {
        Form {
            action: LocalHref::new(&self.settings.base_path.path(ACCOUNT)),
            fields: vec![Field { name: action, value: subject.to_owned() }],
            csrf: signed_in.csrf(&purpose(action, subject)).as_str().to_owned(),
        }
    }

    async fn change_account(&self, request: &Request) -> Response {
        let signed_in = match self.identity.signed_in(request).await {
            Ok(Some(signed_in)) => signed_in,
            Ok(None) => return trouble_page(request, &Trouble::STALE),
            Err(error) => return store_trouble(request, &error),
        };
        let Ok(form) = Params::parse(&request.body) else { return trouble_page(request, &Trouble::MALFORMED) };
        let (action, subject) = match (form.get("disconnect"), form.get("revoke"), form.get("forget")) {
            (Ok(Some(upstream)), Ok(None), Ok(None)) => ("disconnect", upstream),
            (Ok(None), Ok(Some(grant)), Ok(None)) => ("revoke", grant),
            (Ok(None), Ok(None), Ok(Some(consent))) => ("forget", consent),
            _ => return trouble_page(request, &Trouble::MALFORMED),
        };
        if !signed_in.sent(request, &form, &purpose(action, subject)) {
            return trouble_page(request, &Trouble::FOREIGN_FORM);
        }
        let done = match action {
            "disconnect" => self.disconnect(request, &signed_in, subject).await,
            "forget" => self.forget(request, &signed_in, subject).await,
            _ => self.revoke_application(request, &signed_in, subject).await,
        };
        match done {
            Ok(()) => Response::see_other(&self.settings.base_path.path(ACCOUNT)),
            Err(error) => store_trouble(request, &error),
        }
    }

    /// Takes the connection away here first, and tells the upstream then, as far as it offers that.
    async fn disconnect(&self, request: &Request, signed_in: &SignedIn, upstream_id: &str) -> store::Result<()> {
        let user = signed_in.user();
        let key = self.routes.iter().find_map(|route| {
            let server = self.servers.of(&route.operation_id).filter(|server| server.id == upstream_id)?;
            key_for(&user.subject, server)
                .filter(|key| key.owner != Owner::Shared || self.is_admin(user))
                .zip(Some(server))
        });
        let Some((key, server)) = key else { return Ok(()) };
        if self.connections.disconnect(&key, server).await? {
            tracing::info!(event = "mcp_auth_upstream_connection_removed", requestId = %request.id,
                subjectId = %user.subject, upstreamServerId = upstream_id, outcome = "success", "disconnected");
        }
        Ok(())
    }

    async fn revoke_application(&self, request: &Request, signed_in: &SignedIn, id: &str) -> store::Result<()> {
        let (id, now) = (GrantId(id.to_owned()), self.clock.now());
        let subject = &signed_in.user().subject;
        let mut own = self.store.grants_of(subject, now).await?.into_iter();
        let Some(grant) = own.find(|grant| grant.id == id) else { return Ok(()) };
        self.store.forget_consents(subject, &grant.client_id, &grant.operation_id).await?;
        if self.store.revoke_grant(&id, now).await? {
            self.changes.publish(&Change::GrantRevoked(id.clone()));
            tracing::info!(event = "mcp_auth_downstream_token_revoked", requestId = %request.id,
                subjectId = %subject, grantId = %id, outcome = "success",
                "a person ended an application's access");
        }
        Ok(())
    }
}

/// The account page, below the base path.
pub const ACCOUNT: &str = "/account";

fn purpose(action: &str, subject: &str) -> String {
    format!("account {action} {subject}")
}

/// A date as people write it in standards, in UTC.
pub(super) fn day(at: Timestamp) -> String {
    OffsetDateTime::from_unix_timestamp(at.as_seconds()).map(|at| at.date().to_string()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_dates() {
        for (seconds, date) in
            [(0, "1970-01-01"), (951_782_400, "2000-02-29"), (1_795_392_000, "2026-11-23"), (-1, "1969-12-31")]
        {
            assert_eq!(day(Timestamp::from_seconds(seconds)), date);
        }
    }
}
