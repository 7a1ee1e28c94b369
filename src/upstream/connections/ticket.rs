//! The ticket in a connect link: sealed, short-lived, for one person, spent once.

use std::time::Duration;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};

use super::sealed::{self, Unreadable};
use crate::{
    clock::Timestamp,
    crypto::{Digest, KeyRing, random_token},
    routes::Route,
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
    client_id: Option<String>,
    operation_id: String,
    upstream_id: String,
    expires_at: i64,
}

/// A ticket that was ours and has not expired. Whoever presents it must still be its person.
pub(in crate::upstream) struct Ticket {
    pub(in crate::upstream) digest: Digest,
    pub(in crate::upstream) subject: SubjectId,
    pub(in crate::upstream) client_id: Option<ClientId>,
    pub(in crate::upstream) operation_id: String,
    pub(in crate::upstream) upstream_id: String,
    pub(in crate::upstream) expires_at: Timestamp,
}

/// A ticket for `subject`, whom `client` asked to connect or who comes of their own accord, and its public name.
pub(in crate::upstream) fn issue(
    key_ring: &KeyRing,
    subject: &SubjectId,
    client: Option<&ClientId>,
    route: &Route,
    now: Timestamp,
) -> Result<(String, String), Unreadable> {
    let id = random_token("");
    let said = Said {
        id: id.clone(),
        subject: subject.as_str().to_owned(),
        client_id: client.map(|client| client.as_str().to_owned()),
        operation_id: route.operation_id.clone(),
        upstream_id: route.upstream_id.clone(),
        expires_at: now.plus(TTL).as_millis(),
    };
    Ok((URL_SAFE_NO_PAD.encode(sealed::seal(key_ring, CONTEXT, &said)?), id))
}

/// Reads a ticket; nothing if it is not ours, was changed, or has expired.
pub(in crate::upstream) fn read(key_ring: &KeyRing, text: &str, now: Timestamp) -> Option<Ticket> {
    let sealed = URL_SAFE_NO_PAD.decode(text).ok()?;
    let said: Said = sealed::open(key_ring, CONTEXT, &sealed).ok()?;
    let expires_at = Timestamp::from_millis(said.expires_at);
    (now < expires_at).then(|| Ticket {
        digest: Digest::of(&said.id),
        subject: SubjectId::from_stored(said.subject),
        client_id: said.client_id.map(ClientId::new),
        operation_id: said.operation_id,
        upstream_id: said.upstream_id,
        expires_at,
    })
}
