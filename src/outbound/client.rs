//! The client itself.

use std::{future::Future, sync::Arc, time::Duration};

use bytes::Bytes;
use http::header;
use ipnet::IpNet;
use reqwest::{RequestBuilder, redirect};
use serde::{Serialize, de::DeserializeOwned};
use url::Url;

use super::{
    Error, Fetched, Resolver,
    address::Reach,
    guard::{Guard, Transport, check_url},
    tls::{self, BuildTlsError},
};

/// What the operator decides about outbound calls.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// `outbound.allowPrivateNetworks`: networks that may be reached although they are not public, also over plain http.
    pub allow_private: Vec<IpNet>,
    /// Whether loopback addresses may be reached, as the `dev` identity provider needs.
    pub allow_loopback: bool,
    /// `outbound.caFile`: PEM certificates trusted beside the machine's own.
    pub extra_ca_pem: Option<Vec<u8>>,
    /// The `User-Agent` header; some hosts refuse requests without one.
    pub user_agent: String,
}

/// How much of our time and memory one call may take.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// The largest body that is read, in bytes.
    pub body: usize,
    /// The deadline of the whole call, from resolution to the last byte.
    pub timeout: Duration,
}

/// How a request proves who sends it.
#[derive(Debug, Clone, Copy)]
pub enum Authorization<'a> {
    /// Not at all, or in the body.
    None,
    /// `client_secret_basic` (RFC 6749 section 2.3.1): both parts are form-encoded before they are joined.
    Basic {
        /// The client id.
        client_id: &'a str,
        /// The client secret.
        client_secret: &'a str,
    },
}

/// Fetches URLs that a stranger may have chosen; clones share connections.
#[derive(Debug, Clone)]
pub struct Client {
    tls: reqwest::Client,
    plain: reqwest::Client,
    reach: Arc<Reach>,
}

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// TLS could not be set up.
    #[error(transparent)]
    Tls(#[from] BuildTlsError),
    /// The HTTP client could not be set up.
    #[error("the HTTP client could not be set up: {0}")]
    Http(#[from] reqwest::Error),
}

impl Client {
    /// Reads the machine's root certificates; takes some milliseconds.
    pub fn new(settings: &Settings, resolver: Arc<Resolver>) -> Result<Self, BuildError> {
        let tls = tls::client_config(settings.extra_ca_pem.as_deref())?;
        let reach = Arc::new(Reach::new(settings.allow_private.clone(), settings.allow_loopback));
        let build = |transport| {
            let guard = Guard { resolver: Arc::clone(&resolver), reach: Arc::clone(&reach), transport };
            reqwest::Client::builder()
                .dns_resolver(guard)
                .tls_backend_preconfigured(tls.clone())
                .https_only(transport == Transport::Tls)
                .redirect(redirect::Policy::none())
                .no_proxy()
                .referer(false)
                .user_agent(&settings.user_agent)
                .pool_idle_timeout(IDLE)
                .build()
        };
        let (over_tls, plain) = (build(Transport::Tls)?, build(Transport::Plain)?);
        Ok(Self { tls: over_tls, plain, reach })
    }

    /// Fetches a JSON document; anything but a successful answer is an error.
    pub async fn get_json<T: DeserializeOwned>(&self, url: &Url, limits: Limits) -> Result<Fetched<T>, Error> {
        let (client, host) = self.client_for(url)?;
        self.exchange(client.get(url.clone()), &host, limits).await?.parse_json(&host)
    }

    /// Fetches a JSON document that is for the bearer of a token.
    pub async fn get_json_with<T: DeserializeOwned>(
        &self,
        url: &Url,
        bearer: &str,
        limits: Limits,
    ) -> Result<Fetched<T>, Error> {
        let (client, host) = self.client_for(url)?;
        self.exchange(client.get(url.clone()).bearer_auth(bearer), &host, limits).await?.parse_json(&host)
    }

    /// Fetches a document and returns the answer whatever its status, redirects excepted.
    pub async fn get(&self, url: &Url, limits: Limits) -> Result<Fetched<Bytes>, Error> {
        let (client, host) = self.client_for(url)?;
        self.exchange(client.get(url.clone()), &host, limits).await
    }

    /// Posts a form and returns the answer whatever its status, redirects excepted.
    pub async fn post_form(
        &self,
        url: &Url,
        form: &[(&str, &str)],
        authorization: Authorization<'_>,
        limits: Limits,
    ) -> Result<Fetched<Bytes>, Error> {
        let (client, host) = self.client_for(url)?;
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
        let mut request =
            client.post(url.clone()).header(header::CONTENT_TYPE, "application/x-www-form-urlencoded").body(body);
        if let Authorization::Basic { client_id, client_secret } = authorization {
            request = request.basic_auth(form_encoded(client_id), Some(form_encoded(client_secret)));
        }
        self.exchange(request, &host, limits).await
    }

    /// Posts a JSON document and returns the answer whatever its status, redirects excepted.
    pub async fn post_json<B: Serialize + Sync>(
        &self,
        url: &Url,
        document: &B,
        limits: Limits,
    ) -> Result<Fetched<Bytes>, Error> {
        let (client, host) = self.client_for(url)?;
        self.exchange(client.post(url.clone()).json(document), &host, limits).await
    }

    fn client_for(&self, url: &Url) -> Result<(&reqwest::Client, String), Error> {
        let (transport, host) = check_url(&self.reach, url)?;
        let client = match transport {
            Transport::Tls => &self.tls,
            Transport::Plain => &self.plain,
        };
        Ok((client, host))
    }

    async fn exchange(&self, request: RequestBuilder, host: &str, limits: Limits) -> Result<Fetched<Bytes>, Error> {
        let request = request.header(header::ACCEPT, "application/json");
        within(limits.timeout, host, async {
            let response = request.send().await.map_err(|error| Error::of_exchange(host, error))?;
            Fetched::read(response, host, limits.body).await
        })
        .await
    }
}

async fn within<T>(after: Duration, host: &str, work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    match tokio::time::timeout(after, work).await {
        Ok(outcome) => outcome,
        Err(_elapsed) => Err(Error::Timeout { host: host.to_owned(), after }),
    }
}

fn form_encoded(text: &str) -> String {
    form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

/// How long an unused connection is kept: less than the five seconds after which Node, Uvicorn and Apache close it, since a
/// request that meets the end of its connection fails, and a refresh must not be sent twice.
const IDLE: Duration = Duration::from_secs(4);

#[cfg(test)]
mod tests;
