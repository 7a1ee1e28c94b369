//! The ticket in a connect link: sealed, short-lived, for one person, spent once.

use std::time::Duration;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};

use super::sealed;
use crate::{
    clock::Timestamp,
    crypto::{Digest, KeyRing, random_token},
    policy::Permit,
    store::{ClientId, SubjectId},
};

/// How long a connect link may be opened.
const TTL: Duration = Duration::from_mins(10);
const CONTEXT: &str = "connect/ticket";

/// What a ticket says.
#[derive(Serialize, Deserialize)]
struct Said {
    id: String,
    subject: String,
    client_id: String,
    operation_id: String,
    upstream_id: String,
    expires_at: i64,
}

/// A ticket that was ours and has not expired. Whoever presents it must still be its person.
pub(super) struct Ticket {
    pub(super) digest: Digest,
    pub(super) subject: SubjectId,
    pub(super) client_id: ClientId,
    pub(super) operation_id: String,
    pub(super) upstream_id: String,
    pub(super) expires_at: Timestamp,
}

/// A ticket for the person behind `permit`, and its public name.
pub(super) fn issue(key_ring: &KeyRing, permit: &Permit, upstream_id: &str, now: Timestamp) -> (String, String) {
    let id = random_token("");
    let said = Said {
        id: id.clone(),
        subject: permit.principal().subject().as_str().to_owned(),
        client_id: permit.principal().client_id().as_str().to_owned(),
        operation_id: permit.route().operation_id.clone(),
        upstream_id: upstream_id.to_owned(),
        expires_at: now.plus(TTL).as_millis(),
    };
    let sealed = sealed::seal(key_ring, CONTEXT, &said).unwrap_or_default();
    (URL_SAFE_NO_PAD.encode(sealed), id)
}

/// Reads a ticket; nothing if it is not ours, was changed, or has expired.
pub(super) fn read(key_ring: &KeyRing, text: &str, now: Timestamp) -> Option<Ticket> {
    let sealed = URL_SAFE_NO_PAD.decode(text).ok()?;
    let said: Said = sealed::open(key_ring, CONTEXT, &sealed).ok()?;
    let expires_at = Timestamp::from_millis(said.expires_at);
    (now < expires_at).then(|| Ticket {
        digest: Digest::of(&said.id),
        subject: SubjectId::from_stored(said.subject),
        client_id: ClientId::new(said.client_id),
        operation_id: said.operation_id,
        upstream_id: said.upstream_id,
        expires_at,
    })
}
