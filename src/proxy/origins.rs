//! The origin at which a request reached us, without parsing a URL for every request.

use std::{hash::Hash, net::IpAddr, sync::Arc};

use http::{HeaderMap, HeaderName, header};
use pingora::proxy::Session;
use quick_cache::{Equivalent, sync::Cache};

use super::failure::Failure;
use crate::web::{Caller, Origin, OriginError, OriginRules, RequestOrigin};

/// Resolves origins and remembers the recent ones.
pub struct Origins {
    rules: OriginRules,
    recent: Cache<Key, Arc<Origin>>,
}

/// The peer's address, in its canonical form.
pub fn peer(session: &Session) -> Option<IpAddr> {
    session.client_addr().and_then(|address| address.as_inet()).map(|address| address.ip().to_canonical())
}

impl Origins {
    /// Origins by these rules.
    pub fn new(rules: OriginRules) -> Self {
        Self { rules, recent: Cache::new(REMEMBERED) }
    }

    /// Whose address this request is counted for.
    pub fn caller(&self, session: &Session) -> Option<Caller> {
        peer(session).map(|peer| Caller::of(peer, &session.req_header().headers, &self.rules.trusted_proxies))
    }

    /// The origin of this request, or the failure to answer with.
    pub fn resolve(&self, session: &Session) -> Result<Arc<Origin>, Failure> {
        let head = session.req_header();
        let named = single(&head.headers, header::HOST)?;
        let host = match head.uri.authority() {
            Some(authority) if named.is_some_and(|named| named != authority.as_str()) => return Err(Failure::BadHost),
            Some(authority) => authority.as_str(),
            None => named.ok_or(Failure::BadHost)?,
        };
        let peer = peer(session);
        let trusted = peer.is_some_and(|peer| self.rules.trusted_proxies.iter().any(|network| network.contains(&peer)));
        let forwarded = |name| if trusted { single(&head.headers, name) } else { Ok(None) };
        let request = RequestOrigin {
            host: Some(host),
            forwarded_host: forwarded(FORWARDED_HOST)?,
            forwarded_proto: forwarded(FORWARDED_PROTO)?,
            peer,
            tls: session.digest().is_some_and(|digest| digest.ssl_digest.is_some()),
        };
        let key = KeyRef {
            tls: request.tls,
            host,
            forwarded_host: request.forwarded_host,
            forwarded_proto: request.forwarded_proto,
        };
        if let Some(origin) = self.recent.get(&key) {
            return Ok(origin);
        }
        let origin = Arc::new(self.rules.resolve(&request).map_err(|error| match error {
            OriginError::NotAHost => Failure::BadHost,
            OriginError::Misdirected => Failure::Misdirected,
        })?);
        self.recent.insert(key.to_key(), Arc::clone(&origin));
        Ok(origin)
    }
}

/// The value of a field that may come once at most.
fn single(headers: &HeaderMap, name: HeaderName) -> Result<Option<&str>, Failure> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => value.to_str().map(Some).or(Err(Failure::BadHost)),
        (Some(_), Some(_)) => Err(Failure::BadHost),
    }
}

#[derive(PartialEq, Eq, Hash)]
struct Key {
    tls: bool,
    host: Box<str>,
    forwarded_host: Option<Box<str>>,
    forwarded_proto: Option<Box<str>>,
}

#[derive(Hash)]
struct KeyRef<'a> {
    tls: bool,
    host: &'a str,
    forwarded_host: Option<&'a str>,
    forwarded_proto: Option<&'a str>,
}

impl KeyRef<'_> {
    fn to_key(&self) -> Key {
        Key {
            tls: self.tls,
            host: self.host.into(),
            forwarded_host: self.forwarded_host.map(Into::into),
            forwarded_proto: self.forwarded_proto.map(Into::into),
        }
    }
}

impl Equivalent<Key> for KeyRef<'_> {
    fn equivalent(&self, key: &Key) -> bool {
        self.tls == key.tls
            && *self.host == *key.host
            && self.forwarded_host == key.forwarded_host.as_deref()
            && self.forwarded_proto == key.forwarded_proto.as_deref()
    }
}

const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const REMEMBERED: usize = 256;
