//! A client for the tools on the command line, which talk to a URL that the operator typed.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Method, Response};
use reqwest::redirect;
use url::Url;

use super::{BuildError, Error, Limits, tls};

/// Sends whatever it is told to wherever it is told to: no guard stands in its way, and redirects are answers.
///
/// The gateway itself never uses it; what a stranger can influence goes through [`Client`](super::Client).
#[derive(Debug, Clone)]
pub struct PlainClient {
    client: reqwest::Client,
}

impl PlainClient {
    /// Reads the machine's root certificates; takes some milliseconds.
    pub fn new(user_agent: &str) -> Result<Self, BuildError> {
        let client = reqwest::Client::builder()
            .tls_backend_preconfigured(tls::client_config(None)?)
            .redirect(redirect::Policy::none())
            .no_proxy()
            .referer(false)
            .user_agent(user_agent)
            .build()?;
        Ok(Self { client })
    }

    /// Sends one request and reads the whole answer.
    pub async fn send(
        &self,
        method: Method,
        url: &Url,
        headers: HeaderMap,
        body: Bytes,
        limits: Limits,
    ) -> Result<Response<Bytes>, Error> {
        let host = url.host_str().unwrap_or_default().to_owned();
        let broken = |error| Error::of_exchange(&host, error);
        let exchange = async {
            let request = self.client.request(method, url.clone()).headers(headers).body(body);
            let mut response = request.send().await.map_err(broken)?;
            let mut answer = Response::new(Bytes::new());
            *answer.status_mut() = response.status();
            *answer.headers_mut() = std::mem::take(response.headers_mut());
            let mut read = BytesMut::new();
            while let Some(chunk) = response.chunk().await.map_err(broken)? {
                if chunk.len() > limits.body - read.len() {
                    return Err(Error::TooLarge { host: host.clone(), limit: limits.body });
                }
                read.extend_from_slice(&chunk);
            }
            *answer.body_mut() = read.freeze();
            Ok(answer)
        };
        let after: Duration = limits.timeout;
        match tokio::time::timeout(after, exchange).await {
            Ok(outcome) => outcome,
            Err(_elapsed) => Err(Error::Timeout { host: host.clone(), after }),
        }
    }
}
