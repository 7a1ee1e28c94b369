//! Who is asking: proven by an access token.

use super::Claims;
use crate::{
    clock::Timestamp,
    crypto::Digest,
    routes::Route,
    store::{ClientId, Grant, GrantId, SubjectId},
    web::Origin,
};

/// A user and a client, with the scope and the resource that the user allowed. Only the resource server makes one.
#[derive(Debug, PartialEq, Eq)]
pub struct Principal {
    token: Digest,
    grant: Grant,
    expires_at: Timestamp,
    claims: Claims,
}

impl Principal {
    pub(super) fn proven(token: Digest, claims: Claims, grant: Grant, expires_at: Timestamp) -> Self {
        Self { token, grant, expires_at, claims }
    }

    /// The digest of the token that proved it.
    pub const fn token(&self) -> &Digest {
        &self.token
    }

    /// The user.
    pub const fn subject(&self) -> &SubjectId {
        &self.grant.subject
    }

    /// The client.
    pub const fn client_id(&self) -> &ClientId {
        &self.grant.client_id
    }

    /// The grant behind the token.
    pub const fn grant_id(&self) -> &GrantId {
        &self.grant.id
    }

    /// The scope, space separated.
    pub fn scope(&self) -> &str {
        &self.grant.scope
    }

    /// What the identity provider said of the user at the last login, as far as the route's policy asks for it.
    pub const fn claims(&self) -> &Claims {
        &self.claims
    }

    /// When the token ends.
    pub const fn expires_at(&self) -> Timestamp {
        self.expires_at
    }

    /// Whether the token is good for `route` at `origin`: both its resource URI and its operation id must fit.
    pub(super) fn is_for(&self, origin: &Origin, route: &Route) -> bool {
        let resource_fits = self
            .grant
            .resource
            .strip_prefix(origin.scheme().as_str())
            .and_then(|rest| rest.strip_prefix("://"))
            .and_then(|rest| rest.strip_prefix(origin.authority()))
            .is_some_and(|path| path == route.path);
        resource_fits && self.grant.operation_id == route.operation_id
    }
}
