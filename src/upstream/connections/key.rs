//! Which connection a person uses at an upstream, if any.

use std::sync::Arc;

use crate::{
    store::{ConnectionKey, Owner, SubjectId},
    upstream::{CredentialSource, KeySettings, Need, OauthSettings, Server},
};

/// The settings of an upstream that needs a connection.
pub fn oauth_settings(server: &Server) -> Option<&Arc<OauthSettings>> {
    match &server.credential {
        CredentialSource::UserOauth(settings) | CredentialSource::SharedOauth(settings) => Some(settings),
        CredentialSource::None
        | CredentialSource::Headers(_)
        | CredentialSource::UserKey(_)
        | CredentialSource::IdJag(_) => None,
    }
}

/// The settings of an upstream that takes API keys of persons.
pub fn key_settings(server: &Server) -> Option<&KeySettings> {
    match &server.credential {
        CredentialSource::UserKey(settings) => Some(settings),
        _ => None,
    }
}

/// The connection that `subject` uses at `server`, if it needs one.
pub fn key_for(subject: &SubjectId, server: &Server) -> Option<ConnectionKey> {
    if oauth_settings(server).is_none() && key_settings(server).is_none() {
        return None;
    }
    Some(key_of(subject, server, matches!(server.credential, CredentialSource::SharedOauth(_))))
}

pub(super) fn key_of(subject: &SubjectId, server: &Server, shared: bool) -> ConnectionKey {
    let owner = if shared { Owner::Shared } else { Owner::User(subject.clone()) };
    ConnectionKey { owner, upstream_id: server.id.clone() }
}

pub(super) const fn missing(key: &ConnectionKey) -> Need {
    match key.owner {
        Owner::User(_) => Need::Authenticating,
        Owner::Shared => Need::AdminConnectRequired,
    }
}
