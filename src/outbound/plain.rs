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

#[cfg(test)]
mod tests {
    use http::{StatusCode, header};

    use super::*;
    use crate::outbound::test_server::{Reply, TestServer};

    async fn get(reply: impl Fn() -> Reply + Send + Sync + 'static, body: usize) -> Result<Response<Bytes>, Error> {
        let server = TestServer::start(move |_| reply()).await;
        let url = format!("http://{}/x?y", server.address).parse().unwrap();
        let limits = Limits { body, timeout: Duration::from_secs(1) };
        PlainClient::new("test").unwrap().send(Method::GET, &url, HeaderMap::new(), Bytes::new(), limits).await
    }

    #[tokio::test]
    async fn a_redirect_is_an_answer() {
        let answer = get(|| Reply::new(302, &[("Location", "http://127.0.0.1:1/")], "moved"), 100).await.unwrap();
        assert_eq!((answer.status(), answer.body().as_ref()), (StatusCode::FOUND, &b"moved"[..]));
        assert_eq!(answer.headers()[header::LOCATION], "http://127.0.0.1:1/");
    }

    #[tokio::test]
    async fn size_and_time_are_bounded() {
        let head = b"HTTP/1.1 200 OK\r\n\r\n".to_vec();
        let endless = head.clone();
        let large = get(move || Reply::Endless(endless.clone(), vec![b'x'; 1000]), 100_000).await;
        assert!(matches!(large, Err(Error::TooLarge { limit: 100_000, .. })));
        let silent = get(move || Reply::Hang(head.clone()), 100).await;
        assert!(matches!(silent, Err(Error::Timeout { .. })));
    }
}
