//! The admin listener: is the process alive, can it serve, and what has it counted?

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use http::{Response, StatusCode, header};
use pingora::{apps::http_app::ServeHttp, protocols::http::ServerSession};

use crate::{
    store::Store,
    telemetry::{self, Metrics},
};

/// Answers `/healthz`, `/readyz` and `/metrics`.
pub(super) struct Admin {
    pub(super) store: Arc<dyn Store>,
    pub(super) leaving: Arc<AtomicBool>,
    pub(super) metrics: Arc<Metrics>,
}

#[async_trait]
impl ServeHttp for Admin {
    async fn response(&self, session: &mut ServerSession) -> Response<Vec<u8>> {
        match session.req_header().uri.path() {
            "/healthz" => answer(StatusCode::OK, "ok\n"),
            "/readyz" if self.leaving.load(Ordering::Acquire) => answer(StatusCode::SERVICE_UNAVAILABLE, "draining\n"),
            "/readyz" => match tokio::time::timeout(STORE_TIMEOUT, self.store.ping()).await {
                Ok(Ok(())) => answer(StatusCode::OK, "ready\n"),
                Ok(Err(_)) | Err(_) => answer(StatusCode::SERVICE_UNAVAILABLE, "the store does not answer\n"),
            },
            "/metrics" => respond(StatusCode::OK, telemetry::CONTENT_TYPE, self.metrics.render(self.store.pool())),
            _ => answer(StatusCode::NOT_FOUND, "not found\n"),
        }
    }
}

fn answer(status: StatusCode, text: &'static str) -> Response<Vec<u8>> {
    respond(status, "text/plain; charset=utf-8", text.to_owned())
}

fn respond(status: StatusCode, content_type: &'static str, text: String) -> Response<Vec<u8>> {
    let mut response = Response::new(text.into_bytes());
    *response.status_mut() = status;
    let length = response.body().len();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, http::HeaderValue::from_static(content_type));
    headers.insert(header::CONTENT_LENGTH, length.into());
    headers.insert(header::CACHE_CONTROL, http::HeaderValue::from_static("no-store"));
    response
}

const STORE_TIMEOUT: Duration = Duration::from_secs(3);
