//! The MCP endpoint as a stranger finds it: closed, with a sign that says where to get a token.

use http::{HeaderMap, Method, StatusCode};
use serde_json::json;
use url::Url;

use super::{
    http::{Answer, Http, bearer},
    report::{Passed, Problem},
};
use crate::{crypto::Secret, oauth::Challenge};

/// What the sign says.
pub(super) struct Sign {
    /// Where the resource metadata is.
    pub(super) resource_metadata: Url,
    /// The scope to ask for.
    pub(super) scope: Option<String>,
}

/// Sends the smallest message there is, with or without a token.
pub(super) async fn knock(http: &Http, endpoint: &Url, token: Option<&Secret>) -> Result<Answer, Problem> {
    let headers = token.map(bearer).unwrap_or_default();
    http.post_json(endpoint, &json!({"jsonrpc": "2.0", "id": "doctor", "method": "ping"}), headers).await
}

/// RFC 9728 section 5.1, RFC 6750 section 3.1: 401, a `Bearer` challenge, no `error` for someone who brought nothing.
pub(super) async fn read_sign(http: &Http, endpoint: &Url) -> Result<Passed<Sign>, Problem> {
    let answer = knock(http, endpoint, None).await?;
    let expected = "401 with WWW-Authenticate: Bearer resource_metadata=\"…\"";
    if answer.status == StatusCode::NOT_FOUND {
        let advice = "check the path: it must be the `path` of a route in the gateway's configuration";
        return Err(Problem::new(expected, answer.summary(), advice).and_final());
    }
    if answer.status != StatusCode::UNAUTHORIZED {
        let advice = "clients only start to sign in after a 401; check that nothing in front of the gateway answers instead of it";
        return Err(Problem::new(expected, answer.summary(), advice));
    }
    let Some(challenge) = Challenge::bearer(&answer.headers) else {
        let advice = "check that no proxy in front of the gateway drops the WWW-Authenticate header";
        return Err(Problem::new(expected, "401 without a Bearer challenge", advice));
    };
    let Some(location) = challenge.parameter("resource_metadata") else {
        let advice = "check that no proxy in front of the gateway rewrites the WWW-Authenticate header";
        return Err(Problem::new(expected, "a Bearer challenge without resource_metadata", advice));
    };
    let Ok(resource_metadata) = Url::parse(location) else {
        return Err(Problem::new("an absolute URL in resource_metadata", location, REPORT));
    };
    if resource_metadata.origin() != endpoint.origin() {
        let expected = format!("resource_metadata at {}", endpoint.origin().ascii_serialization());
        return Err(Problem::new(expected, location, ORIGIN));
    }
    if let Some(error) = challenge.parameter("error") {
        return Err(Problem::new("no `error` when no token was sent", format_args!("error=\"{error}\""), REPORT));
    }
    let scope = challenge.parameter("scope").map(str::to_owned);
    let note = match &scope {
        Some(scope) => format!("401, scope {scope}"),
        None => "401".to_owned(),
    };
    Ok(Passed::new(Sign { resource_metadata, scope }, note))
}

/// Every method of the endpoint is closed, not only POST.
pub(super) async fn try_other_methods(http: &Http, endpoint: &Url) -> Result<Passed<()>, Problem> {
    for method in [Method::GET, Method::DELETE] {
        let answer = http.send(method.clone(), endpoint, HeaderMap::new(), bytes::Bytes::new()).await?;
        if answer.status != StatusCode::UNAUTHORIZED {
            return Err(Problem::new(format_args!("401 for {method}"), answer.summary(), REPORT));
        }
    }
    Ok(Passed::new((), ""))
}

/// The route of a gateway that has exactly one: its root document names it.
pub(super) async fn find_route(http: &Http, origin: &Url) -> Result<Passed<Url>, Problem> {
    let mut location = origin.clone();
    location.set_path("/.well-known/oauth-protected-resource");
    location.set_query(None);
    let answer = http.get(&location, HeaderMap::new()).await?;
    let advice = "pass the URL of an MCP route instead; a gateway with several routes cannot say which one is meant";
    let document = answer.json().filter(|_| answer.status == StatusCode::OK);
    let resource = document.as_ref().and_then(|document| document.get("resource")).and_then(serde_json::Value::as_str);
    match resource.and_then(|resource| Url::parse(resource).ok()) {
        Some(route) if route.origin() == origin.origin() => {
            let note = route.to_string();
            Ok(Passed::new(route, note))
        }
        Some(route) => {
            Err(Problem::new(format_args!("a route of {}", origin.origin().ascii_serialization()), route, ORIGIN))
        }
        None => Err(Problem::new(format_args!("a `resource` in {location}"), answer.summary(), advice)),
    }
}

pub(super) const ORIGIN: &str = "call the gateway by the name that clients use, set `server.publicOrigin` to it, \
     and let a proxy in front pass Host, or X-Forwarded-Host and X-Forwarded-Proto";
pub(super) const REPORT: &str = "this is a fault of the gateway, or of a proxy in front of it that rewrites answers";
