//! A client for the collector of telemetry that the operator names.

use std::{sync::Arc, time::Duration};

use http::{HeaderMap, header};
use url::Url;

use super::{BuildError, Error, Resolver, Settings, address::Reach, configured, guard::check_url};

/// Posts to paths below one URL of the configuration; writing it there is the permission to reach it, wherever it is.
#[derive(Debug, Clone)]
pub struct Collector {
    client: reqwest::Client,
    reach: Arc<Reach>,
    endpoint: Url,
    headers: HeaderMap,
}

impl Collector {
    /// Trusts what [`Client`](super::Client) trusts, and sends `headers` along.
    pub fn new(
        settings: &Settings,
        resolver: Arc<Resolver>,
        endpoint: &Url,
        headers: HeaderMap,
    ) -> Result<Self, BuildError> {
        let (client, reach) = configured::client(settings, resolver)?;
        let mut endpoint = endpoint.clone();
        if !endpoint.path().ends_with('/') {
            endpoint.set_path(&format!("{}/", endpoint.path()));
        }
        Ok(Self { client, reach, endpoint, headers })
    }

    /// Posts `body` to `path` below the endpoint and says which status came back.
    pub async fn post(
        &self,
        path: &str,
        content_type: &'static str,
        body: Vec<u8>,
        deadline: Duration,
    ) -> Result<u16, Error> {
        let mut url = self.endpoint.clone();
        url.set_path(&format!("{}{path}", self.endpoint.path()));
        let (_, host) = check_url(&self.reach, &url)?;
        let request =
            self.client.post(url).headers(self.headers.clone()).header(header::CONTENT_TYPE, content_type).body(body);
        let exchange = async {
            let mut response = request.send().await.map_err(|error| Error::of_exchange(&host, error))?;
            let status = response.status().as_u16();
            // Read to its end, the connection serves the next batch too.
            let mut rest = LONGEST_ANSWER;
            while let Some(chunk) = response.chunk().await.map_err(|error| Error::of_exchange(&host, error))? {
                rest = match rest.checked_sub(chunk.len()) {
                    Some(rest) => rest,
                    None => break,
                };
            }
            Ok(status)
        };
        match tokio::time::timeout(deadline, exchange).await {
            Ok(answered) => answered,
            Err(_elapsed) => Err(Error::Timeout { host: host.clone(), after: deadline }),
        }
    }
}

const LONGEST_ANSWER: usize = 64 * 1024;
