//! Dynamic registration of a public client (RFC 7591, RFC 8252).

use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};
use url::Url;

use super::{
    endpoint::REPORT,
    http::Http,
    metadata::Server,
    report::{Passed, Problem},
};

/// The doctor as a client of the gateway.
pub(super) struct Client {
    pub(super) id: String,
    pub(super) redirect_uri: Url,
}

/// Registers under a name that people recognise on the consent page.
pub(super) async fn register(http: &Http, server: &Server, redirect_uri: &Url) -> Result<Passed<Client>, Problem> {
    let metadata = json!({
        "client_name": "sallyport doctor",
        "redirect_uris": [redirect_uri],
        "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"],
        "token_endpoint_auth_method": "none",
    });
    let answer = http.post_json(&server.register, &metadata, HeaderMap::new()).await?;
    let document = answer.json().filter(|_| answer.status == StatusCode::CREATED);
    let Some(document) = document else {
        return Err(Problem::new("201 with a client_id", answer.summary(), REPORT));
    };
    let Some(id) = document.get("client_id").and_then(Value::as_str).filter(|id| !id.is_empty()) else {
        return Err(Problem::new("a client_id", "201 without one", REPORT));
    };
    if document.get("redirect_uris") != Some(&json!([redirect_uri])) {
        return Err(Problem::new(format_args!("redirect_uris [\"{redirect_uri}\"]"), "other redirect_uris", REPORT));
    }
    if document.get("client_secret").is_some() {
        return Err(Problem::new("no client_secret for a public client", "a client_secret", REPORT));
    }
    let kind = id.split_once(':').map_or("", |(kind, _)| kind);
    let note = if kind.is_empty() { String::new() } else { format!("a client id of the kind {kind}") };
    Ok(Passed::new(Client { id: id.to_owned(), redirect_uri: redirect_uri.clone() }, note))
}
