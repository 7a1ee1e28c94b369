//! What came back.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, StatusCode, header};
use reqwest::Response;
use serde::de::DeserializeOwned;

use super::Error;

/// An answer.
#[derive(Debug, Clone)]
pub struct Fetched<T> {
    /// The status.
    pub status: StatusCode,
    /// How long the answer may be kept.
    pub freshness: Freshness,
    /// How long the host asks to be left alone (`Retry-After` in seconds; a date counts as nothing).
    pub retry_after: Option<Duration>,
    /// The body.
    pub body: T,
}

/// What the answer says about caching (RFC 9111).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Freshness {
    /// The time left until the answer must be fetched again; `None` if the answer doesn't say.
    pub max_age: Option<Duration>,
    /// The entity tag.
    pub etag: Option<String>,
}

impl Freshness {
    /// `no-store` and `no-cache` count as a lifetime of zero; `Age` is taken off `max-age` (RFC 9111 section 4.2).
    fn of(headers: &HeaderMap) -> Self {
        let mut max_age = None;
        for value in headers.get_all(header::CACHE_CONTROL) {
            for directive in value.to_str().unwrap_or_default().split(',') {
                let (name, argument) = directive.split_once('=').unwrap_or((directive, ""));
                let lifetime = match name.trim().to_ascii_lowercase().as_str() {
                    "no-store" | "no-cache" => Some(0),
                    // RFC 9111 section 5.2.2.1: a lifetime that can't be read is stale.
                    "max-age" => Some(argument.trim().trim_matches('"').parse().unwrap_or(0)),
                    _ => None,
                };
                // The shortest of contradicting lifetimes.
                max_age = [max_age, lifetime].into_iter().flatten().min();
            }
        }
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
        let age: u64 = text(header::AGE).and_then(|age| age.trim().parse().ok()).unwrap_or(0);
        Self {
            max_age: max_age.map(|seconds: u64| Duration::from_secs(seconds.saturating_sub(age))),
            etag: text(header::ETAG).map(str::to_owned),
        }
    }
}

impl Fetched<Bytes> {
    /// Reads `response` to its end, or until it has become larger than `limit` bytes, whatever its head promised.
    pub(super) async fn read(mut response: Response, host: &str, limit: usize) -> Result<Self, Error> {
        let too_large = || Error::TooLarge { host: host.to_owned(), limit };
        let status = response.status();
        if status.is_redirection() {
            return Err(Error::Redirected { host: host.to_owned(), status });
        }
        if response.content_length().is_some_and(|length| length > limit as u64) {
            return Err(too_large());
        }
        let freshness = Freshness::of(response.headers());
        let retry_after = retry_after(response.headers());
        let mut body = BytesMut::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| Error::of_exchange(host, error))? {
            if chunk.len() > limit - body.len() {
                return Err(too_large());
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Self { status, freshness, retry_after, body: body.freeze() })
    }

    /// The JSON document of a successful answer.
    pub(super) fn parse_json<T: DeserializeOwned>(self, host: &str) -> Result<Fetched<T>, Error> {
        let Self { status, freshness, retry_after, body } = self;
        if !status.is_success() {
            return Err(Error::Status { host: host.to_owned(), status });
        }
        let body = serde_json::from_slice(&body).map_err(|source| Error::NotJson { host: host.to_owned(), source })?;
        Ok(Fetched { status, freshness, retry_after, body })
    }
}

/// RFC 9110 section 10.2.3.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let value = headers.get(header::RETRY_AFTER)?.to_str().ok()?;
    value.trim().parse().ok().map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn freshness(headers: &[(&'static str, &'static str)]) -> Option<u64> {
        let map = headers
            .iter()
            .map(|(name, value)| (http::HeaderName::from_static(name), http::HeaderValue::from_static(value)))
            .collect();
        Freshness::of(&map).max_age.map(|age| age.as_secs())
    }

    #[test]
    fn the_lifetime_is_what_cache_control_leaves_of_it() {
        assert_eq!(freshness(&[]), None);
        assert_eq!(freshness(&[("cache-control", "public")]), None);
        assert_eq!(freshness(&[("cache-control", "public, Max-Age=60")]), Some(60));
        assert_eq!(freshness(&[("cache-control", "max-age=60"), ("age", "50")]), Some(10));
        assert_eq!(freshness(&[("cache-control", "max-age=60"), ("age", "90")]), Some(0));
        assert_eq!(freshness(&[("cache-control", "max-age=60, no-store")]), Some(0));
        assert_eq!(freshness(&[("cache-control", "no-cache")]), Some(0));
        assert_eq!(freshness(&[("cache-control", "max-age=soon")]), Some(0));
        assert_eq!(freshness(&[("cache-control", "max-age=60, max-age=30")]), Some(30));
        assert_eq!(freshness(&[("cache-control", "max-age=-1")]), Some(0));
    }
}
