//! Requests to the gateway under examination, and what to say when there is no answer.

use std::{error::Error as _, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, header};
use serde_json::Value;
use url::Url;

use super::report::Problem;
use crate::{
    crypto::Secret,
    outbound::{BuildError, Limits, PlainClient},
};

/// The client of the whole walk.
pub(super) struct Http {
    client: PlainClient,
}

/// An answer, read to its end.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Http {
    pub(super) fn new() -> Result<Self, BuildError> {
        PlainClient::new(concat!("sallyport-doctor/", env!("CARGO_PKG_VERSION"))).map(|client| Self { client })
    }

    pub(super) async fn get(&self, url: &Url, headers: HeaderMap) -> Result<Answer, Problem> {
        self.send(Method::GET, url, headers, Bytes::new()).await
    }

    pub(super) async fn post_form(
        &self,
        url: &Url,
        form: &[(&str, &str)],
        mut headers: HeaderMap,
    ) -> Result<Answer, Problem> {
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
        self.send(Method::POST, url, headers, body.into()).await
    }

    pub(super) async fn post_json(
        &self,
        url: &Url,
        document: &Value,
        mut headers: HeaderMap,
    ) -> Result<Answer, Problem> {
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers
            .entry(header::ACCEPT)
            .or_insert_with(|| HeaderValue::from_static("application/json, text/event-stream"));
        self.send(Method::POST, url, headers, document.to_string().into()).await
    }

    pub(super) async fn send(
        &self,
        method: Method,
        url: &Url,
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<Answer, Problem> {
        match self.client.send(method, url, headers, body, LIMITS).await {
            Ok(response) => {
                let (head, body) = Response::into_parts(response);
                Ok(Answer { status: head.status, headers: head.headers, body })
            }
            Err(error) => {
                let mut came = error.to_string();
                let mut cause = error.source();
                while let Some(error) = cause {
                    came = format!("{came}: {error}");
                    cause = error.source();
                }
                let host = url.host_str().unwrap_or_default();
                let port = url.port_or_known_default().unwrap_or_default();
                let advice = format!("make sure that the gateway runs and that this machine reaches {host}:{port}");
                Err(Problem::new(format_args!("an answer from {}", shown(url)), came, advice).and_final())
            }
        }
    }
}

impl Answer {
    /// The JSON document, if the answer claims to be one and is.
    pub(super) fn json(&self) -> Option<Value> {
        let media_type = self.media_type()?;
        (media_type == "application/json" || media_type.ends_with("+json"))
            .then(|| serde_json::from_slice(&self.body).ok())
            .flatten()
    }

    /// The media type without its parameters, in lower case.
    pub(super) fn media_type(&self) -> Option<String> {
        let value = self.header(header::CONTENT_TYPE.as_str())?;
        Some(value.split(';').next()?.trim().to_ascii_lowercase())
    }

    /// A header's text.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The answer in a few words that never hold a secret: the status, and the error that it names.
    pub(super) fn summary(&self) -> String {
        let mut summary = self.status.to_string();
        let Some(document) = self.json() else {
            if let Some(title) = self.media_type().filter(|kind| kind == "text/html").and_then(|_| self.title()) {
                summary = format!("{summary}, a page \"{title}\"");
            }
            return summary;
        };
        if let Some(code) = document.get("error").and_then(Value::as_str) {
            summary = format!("{summary}, error {code}");
        }
        for member in ["/error_description", "/error/message", "/detail"] {
            if let Some(text) = document.pointer(member).and_then(Value::as_str) {
                summary = format!("{summary}, \"{text}\"");
            }
        }
        summary
    }

    fn title(&self) -> Option<String> {
        super::html::title(&String::from_utf8_lossy(&self.body))
    }
}

/// `Authorization: Bearer …`, kept out of every log.
pub(super) fn bearer(token: &Secret) -> HeaderMap {
    let mut headers = HeaderMap::new();
    if let Ok(mut value) = HeaderValue::from_str(&format!("Bearer {}", token.expose())) {
        value.set_sensitive(true);
        headers.insert(header::AUTHORIZATION, value);
    }
    headers
}

/// A URL as it may be printed: without its query, which can carry codes and state.
pub(super) fn shown(url: &Url) -> String {
    let mut url = url.clone();
    url.set_query(None);
    url.set_fragment(None);
    url.into()
}

const LIMITS: Limits = Limits { body: 4 * 1024 * 1024, timeout: Duration::from_secs(15) };

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(kind: &'static str, body: &'static str) -> Answer {
        let headers = HeaderMap::from_iter([(header::CONTENT_TYPE, HeaderValue::from_static(kind))]);
        Answer { status: StatusCode::BAD_REQUEST, headers, body: Bytes::from_static(body.as_bytes()) }
    }

    #[test]
    fn a_summary_names_the_error_and_nothing_else_of_the_body() {
        let oauth = answer(
            "application/json",
            r#"{"error":"invalid_grant","error_description":"Too late.","access_token":"at_x"}"#,
        );
        assert_eq!(oauth.summary(), "400 Bad Request, error invalid_grant, \"Too late.\"");
        let rpc = answer("application/json; charset=utf-8", r#"{"jsonrpc":"2.0","error":{"code":-1,"message":"No."}}"#);
        assert_eq!(rpc.summary(), "400 Bad Request, \"No.\"");
        let problem = answer("application/problem+json", r#"{"title":"Bad Gateway","detail":"The upstream is down."}"#);
        assert_eq!(problem.summary(), "400 Bad Request, \"The upstream is down.\"");
        assert_eq!(answer("text/html", "<title>Oops</title>").summary(), "400 Bad Request, a page \"Oops\"");
        assert_eq!(answer("text/plain", "at_x").summary(), "400 Bad Request");
    }

    #[test]
    fn a_url_is_shown_without_its_query() {
        let url = "http://127.0.0.1:1/callback?code=ac_x#f".parse().unwrap();
        assert_eq!(shown(&url), "http://127.0.0.1:1/callback");
    }
}
