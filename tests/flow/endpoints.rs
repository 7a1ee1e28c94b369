//! Every endpoint with every method: status, `Allow`, caching, CORS, and what no answer may carry.

use reqwest::{Method, StatusCode, header};
use serde_json::json;

use crate::support::TestGateway;

/// A path, its answers to GET, POST and OPTIONS, and what it says about itself.
struct Endpoint {
    path: &'static str,
    get: u16,
    post: u16,
    options: u16,
    delete: u16,
    allow: &'static str,
    every_origin: bool,
}

const fn document(path: &'static str, get: u16) -> Endpoint {
    Endpoint { path, get, post: 405, options: 204, delete: 405, allow: "GET, HEAD, OPTIONS", every_origin: true }
}

const fn api(path: &'static str) -> Endpoint {
    Endpoint { path, get: 405, post: 400, options: 204, delete: 405, allow: "POST, OPTIONS", every_origin: true }
}

const fn page(path: &'static str, get: u16) -> Endpoint {
    Endpoint { path, get, post: 405, options: 405, delete: 405, allow: "GET, HEAD", every_origin: false }
}

const fn form(path: &'static str, get: u16, post: u16) -> Endpoint {
    Endpoint { path, get, post, options: 405, delete: 405, allow: "GET, HEAD, POST", every_origin: false }
}

const fn route(path: &'static str) -> Endpoint {
    Endpoint { path, get: 401, post: 401, options: 204, delete: 401, allow: "", every_origin: false }
}

/// What each path answers to a stranger without parameters.
const ENDPOINTS: &[Endpoint] = &[
    document("/.well-known/oauth-authorization-server", 200),
    document("/.well-known/oauth-authorization-server/mcp/one", 200),
    document("/.well-known/oauth-authorization-server/mcp/one/", 200),
    document("/.well-known/oauth-authorization-server/mcp/three", 404),
    document("/.well-known/openid-configuration", 200),
    document("/.well-known/openid-configuration/mcp/one", 200),
    document("/mcp/one/.well-known/openid-configuration", 200),
    document("/.well-known/oauth-protected-resource/mcp/one", 200),
    document("/.well-known/oauth-protected-resource/mcp/one/", 200),
    document("/.well-known/oauth-protected-resource", 404),
    api("/oauth/register"),
    api("/oauth/token"),
    Endpoint {
        path: "/oauth/revoke",
        get: 405,
        post: 400,
        options: 405,
        delete: 405,
        allow: "POST",
        every_origin: false,
    },
    page("/oauth/authorize", 400),
    page("/oauth/authorize/", 400),
    page("/oauth/authorize/mcp/one", 400),
    page("/oauth/authorize/mcp/three", 404),
    page("/oauth/callback", 400),
    page("/oauth/dev-login", 400),
    form("/oauth/setup", 400, 403),
    form("/oauth/logout", 200, 200),
    page("/", 200),
    route("/mcp/one"),
    route("/mcp/one/"),
    Endpoint { path: "/mcp/three", get: 404, post: 404, options: 404, delete: 404, allow: "", every_origin: false },
    Endpoint { path: "/oauth", get: 404, post: 404, options: 404, delete: 404, allow: "", every_origin: false },
];

#[tokio::test]
async fn every_endpoint_answers_every_method_as_the_table_says() {
    let gateway = TestGateway::start().await;
    let http = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    for endpoint in ENDPOINTS {
        for (method, status) in [
            (Method::GET, endpoint.get),
            (Method::HEAD, endpoint.get),
            (Method::POST, endpoint.post),
            (Method::OPTIONS, endpoint.options),
            (Method::DELETE, endpoint.delete),
            (Method::PUT, 405),
            (Method::TRACE, 405),
        ] {
            let what = format!("{method} {}", endpoint.path);
            let answer = http.request(method.clone(), gateway.url(endpoint.path)).send().await.unwrap();
            assert_eq!(answer.status(), status, "{what}");
            let headers = answer.headers().clone();
            let value = |name: &str| headers.get(name).map(|value| value.to_str().unwrap().to_owned());

            let known_to_all = [Method::PUT, Method::TRACE].contains(&method);
            if status == 405 {
                let allow = if known_to_all { "GET, HEAD, POST, DELETE, OPTIONS" } else { endpoint.allow };
                assert_eq!(value("allow").as_deref(), Some(allow), "{what}");
            }
            let is_document = endpoint.allow == "GET, HEAD, OPTIONS" && status == 200;
            let caching = if is_document { "public, max-age=60" } else { "no-store" };
            assert_eq!(value("cache-control").as_deref(), Some(caching), "{what}");
            if is_document {
                assert_eq!(value("vary").as_deref(), Some("Host, X-Forwarded-Host, X-Forwarded-Proto"), "{what}");
            }
            if !known_to_all {
                let origin = endpoint.every_origin.then_some("*");
                assert_eq!(value("access-control-allow-origin").as_deref(), origin, "{what}");
            }
            assert!(headers.contains_key("x-request-id") && headers.contains_key(header::DATE), "{what}");
            for forbidden in ["server", "set-cookie", "access-control-allow-credentials"] {
                assert!(!headers.contains_key(forbidden), "{what}: {forbidden}");
            }
            let body = answer.bytes().await.unwrap();
            if method == Method::HEAD {
                assert!(body.is_empty(), "{what}");
            } else if [404, 405].contains(&status) && value("content-type").is_none_or(|kind| !kind.contains("html")) {
                let problem: serde_json::Value = serde_json::from_slice(&body).unwrap();
                assert!(problem["requestId"].is_string() || problem["error"].is_object(), "{what}: {problem}");
            }
        }
    }
}

/// RFC 6750 section 2: a cookie is no access token, and no client authentication either.
#[tokio::test]
async fn a_cookie_is_never_a_credential_at_the_endpoints_of_clients() {
    use crate::support::{Browser, Client};
    let gateway = TestGateway::start().await;
    let client = Client::register(&gateway).await;
    let mut browser = Browser::new(&gateway.origin);
    client.consent_page(&mut browser, "/mcp/one", "ada").await;
    let tokens = client.log_in("/mcp/one", "ada").await;
    let cookie = browser.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("; ");
    assert!(cookie.contains("sallyport_session="));
    let before = gateway.dump();

    for (path, form) in [
        ("/oauth/token", vec![("grant_type", "refresh_token"), ("refresh_token", tokens.refresh.as_str())]),
        ("/oauth/revoke", vec![("token", tokens.refresh.as_str())]),
    ] {
        let request = client.http.post(gateway.url(path)).header(header::COOKIE, &cookie).form(&form);
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::UNAUTHORIZED, "{path}");
        assert_eq!(answer.json::<serde_json::Value>().await.unwrap()["error"], "invalid_client", "{path}");
    }
    let call = client.http.post(gateway.url("/mcp/one")).header(header::COOKIE, &cookie).json(&json!({}));
    assert_eq!(call.send().await.unwrap().status(), StatusCode::UNAUTHORIZED);
    assert_eq!(gateway.dump(), before);
    assert!(gateway.upstream.seen().is_empty());
}
