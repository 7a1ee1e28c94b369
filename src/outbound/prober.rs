//! A client that asks an upstream server what it demands.

use std::{sync::Arc, time::Duration};

use http::{HeaderMap, Response};
use url::Url;

use super::{BuildError, Error, Resolver, Settings, address::Reach, configured, guard::check_url};

/// Reads the head of what an upstream server answers, and nothing of its body.
///
/// The operator configured the URL of every upstream, which is the permission to reach it: private addresses and plain
/// http are open here. So it is for those URLs alone; what is found at them goes through [`Client`](super::Client).
#[derive(Debug, Clone)]
pub struct Prober {
    client: reqwest::Client,
    reach: Arc<Reach>,
}

impl Prober {
    /// Trusts what [`Client`](super::Client) trusts; of the settings, the networks do not matter.
    pub fn new(settings: &Settings, resolver: Arc<Resolver>) -> Result<Self, BuildError> {
        let (client, reach) = configured::client(settings, resolver)?;
        Ok(Self { client, reach })
    }

    /// Posts `body` and returns the head of the answer, redirects included; the connection is then dropped.
    pub async fn post(
        &self,
        url: &Url,
        headers: HeaderMap,
        body: &'static str,
        deadline: Duration,
    ) -> Result<Response<()>, Error> {
        let (_, host) = check_url(&self.reach, url)?;
        let sent = self.client.post(url.clone()).headers(headers).body(body).send();
        let mut response = match tokio::time::timeout(deadline, sent).await {
            Ok(response) => response.map_err(|error| Error::of_exchange(&host, error))?,
            Err(_elapsed) => return Err(Error::Timeout { host, after: deadline }),
        };
        let mut head = Response::new(());
        *head.status_mut() = response.status();
        *head.headers_mut() = std::mem::take(response.headers_mut());
        Ok(head)
    }
}

#[cfg(test)]
mod tests {
    use http::header;

    use super::*;
    use crate::outbound::test_server::{Reply, TestServer};

    fn prober() -> Prober {
        let settings = Settings { user_agent: "sallyport/test".to_owned(), ..Settings::default() };
        Prober::new(&settings, Arc::new(Resolver::system())).unwrap()
    }

    #[tokio::test]
    async fn a_private_upstream_is_asked_over_plain_http_and_by_name() {
        let server = TestServer::start(|_| Reply::new(401, &[("WWW-Authenticate", "Bearer")], "no")).await;
        for host in ["127.0.0.1", "localhost"] {
            let url = format!("http://{host}:{}/mcp", server.address.port()).parse().unwrap();
            let head = prober().post(&url, HeaderMap::new(), "{}", Duration::from_secs(10)).await.unwrap();
            assert_eq!(
                (head.status().as_u16(), &head.headers()[header::WWW_AUTHENTICATE]),
                (401, &"Bearer".parse().unwrap())
            );
        }
        assert_eq!(server.seen()[0].header("user-agent"), Some("sallyport/test"));
        assert_eq!(server.seen()[0].header("authorization"), None);
    }

    #[tokio::test]
    async fn an_endless_body_is_not_waited_for_and_a_redirect_is_not_followed() {
        let endless =
            TestServer::start(|_| Reply::Endless(b"HTTP/1.1 200 OK\r\n\r\n".to_vec(), b"data: x\n\n".to_vec())).await;
        let head = prober().post(&endless.url("/"), HeaderMap::new(), "", Duration::from_secs(10)).await.unwrap();
        assert_eq!(head.status(), 200);
        endless.sent_until_hang_up().await;

        let location = endless.url("/elsewhere").to_string();
        let server = TestServer::start(move |_| Reply::new(307, &[("Location", &location)], "")).await;
        let head = prober().post(&server.url("/"), HeaderMap::new(), "", Duration::from_secs(10)).await.unwrap();
        assert_eq!(head.status(), 307);
        assert_eq!(endless.count("/elsewhere"), 0);
    }

    #[tokio::test]
    async fn a_silent_upstream_ends_at_the_deadline() {
        let server = TestServer::start(|_| Reply::Hang(vec![])).await;
        let answer = prober().post(&server.url("/"), HeaderMap::new(), "", Duration::from_millis(200)).await;
        assert!(matches!(answer, Err(Error::Timeout { .. })));
    }
}
