//! Bad input: each gets the standard's error, changes nothing in the store, and is named by its line in the log.

use reqwest::{Method, RequestBuilder, StatusCode, header};
use serde_json::{Value, json};

use crate::support::{Browser, Client, Log, Page, TestGateway, Tokens};

const BAD: StatusCode = StatusCode::BAD_REQUEST;
const UNAUTHORIZED: StatusCode = StatusCode::UNAUTHORIZED;
const REDIRECT: StatusCode = StatusCode::SEE_OTHER;

/// A gateway with somebody signed in, a client with tokens, and strangers.
struct Scene {
    gateway: TestGateway,
    log: Log,
    http: reqwest::Client,
    client: Client,
    confidential: Client,
    stranger: Client,
    browser: Browser,
    consent: Page,
    decided: Page,
    tokens: Tokens,
    code: String,
}

impl Scene {
    async fn set() -> Self {
        let (gateway, log) = TestGateway::with_log(json!({})).await;
        let (client, stranger) = (Client::register(&gateway).await, Client::register(&gateway).await);
        let metadata =
            json!({"redirect_uris": ["https://c.example/cb"], "token_endpoint_auth_method": "client_secret_basic"});
        let confidential = Client::register_as(&gateway, metadata).await;
        let tokens = client.log_in("/mcp/one", "ada").await;
        let mut browser = Browser::new(&gateway.origin);
        let decided = client.consent_page(&mut browser, "/mcp/one", "ada").await;
        let code = browser.submit(&decided, ("decision", "approve")).await.answer()["code"].clone();
        let consent = client.consent_page(&mut browser, "/mcp/one", "ada").await;
        let http = client.http.clone();
        Self { gateway, log, http, client, confidential, stranger, browser, consent, decided, tokens, code }
    }

    /// Sends a request, and checks status, error code, store and log.
    async fn refuses(&self, request: RequestBuilder, status: StatusCode, error: &str, reason: &str) {
        let id = format!("bad-input-{}", self.log.all().len());
        let before = self.gateway.dump();
        let answer = request.header("x-request-id", &id).send().await.unwrap();
        let what = format!("{error}, {reason}: {}", answer.url());
        assert_eq!(answer.status(), status, "{what}");
        let headers = answer.headers().clone();
        let body = answer.text().await.unwrap();
        if status == REDIRECT {
            let location = headers[header::LOCATION].to_str().unwrap();
            assert!(location.contains(&format!("error={error}&")) && location.contains("&iss="), "{what}: {location}");
        } else if error == "page" {
            assert!(body.contains(&id) && !headers.contains_key(header::LOCATION), "{what}: {body}");
        } else if !error.is_empty() {
            let document: Value = serde_json::from_str(&body).unwrap_or_else(|_| panic!("{what}: {body}"));
            assert_eq!(document["error"], error, "{what}: {body}");
        }
        assert_eq!(self.gateway.dump(), before, "{what}");

        let lines = self.log.about(&id);
        let access: Vec<_> = lines.iter().filter(|line| line["target"] == "sallyport::access").collect();
        assert_eq!(access.len(), 1, "{what}: {lines:?}");
        assert_eq!(access[0]["reasonCode"], reason, "{what}: {lines:?}");
        assert_eq!(
            (&access[0]["outcome"], &access[0]["failureOrigin"]),
            (&json!("denied"), &json!("client")),
            "{what}"
        );
        for line in &lines {
            assert_eq!(line["reasonCode"], reason, "{what}: {line}");
            assert!(line["event"].as_str().is_some_and(|event| event.starts_with("mcp_")), "{what}: {line}");
        }
    }

    fn get(&self, path: &str) -> RequestBuilder {
        let cookies: Vec<_> = self.browser.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        self.http.get(self.gateway.url(path)).header(header::COOKIE, cookies.join("; "))
    }

    fn post(&self, path: &str, form: &[(&str, &str)]) -> RequestBuilder {
        self.http.post(self.gateway.url(path)).form(form)
    }

    /// An authorization request with one parameter otherwise.
    fn authorize(&self, name: &'static str, value: Option<&str>) -> RequestBuilder {
        let mut parameters = self.client.request("/mcp/one");
        parameters.retain(|(known, _)| *known != name);
        parameters.extend(value.map(|value| (name, value.to_owned())));
        let url = self.client.authorize_url(&parameters);
        self.get(url.strip_prefix(&self.gateway.origin).unwrap())
    }

    fn token(&self, client: &Client, parameters: &[(&str, &str)]) -> RequestBuilder {
        let mut form = parameters.to_vec();
        form.push(("client_id", &client.id));
        self.post("/oauth/token", &form)
    }

    fn call(&self, route: &str, authorization: &str) -> RequestBuilder {
        self.http
            .post(self.gateway.url(route))
            .header(header::AUTHORIZATION, authorization)
            .json(&json!({"jsonrpc": "2.0"}))
    }

    fn decide(&self, page: &Page, decision: &str, site: &str) -> RequestBuilder {
        let mut fields = page.hidden_fields();
        fields.push(("decision".to_owned(), decision.to_owned()));
        let cookies: Vec<_> = self.browser.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let request = self.http.post(self.gateway.url("/oauth/setup")).header("sec-fetch-site", site);
        request.header(header::COOKIE, cookies.join("; ")).form(&fields)
    }
}

/// RFC 6749 section 4.1.2.1.
#[tokio::test]
async fn bad_authorization_requests() {
    let scene = Scene::set().await;
    for (request, status, error, reason) in [
        (scene.authorize("client_id", None), BAD, "page", "unknown_client"),
        (scene.authorize("client_id", Some("dcr:unknown")), BAD, "page", "unknown_client"),
        (scene.authorize("redirect_uri", Some("https://evil.example/cb")), BAD, "page", "foreign_redirect_uri"),
        (scene.authorize("x", Some(&"y".repeat(9000))), StatusCode::URI_TOO_LONG, "", "uri_too_long"),
        (scene.get("/oauth/authorize?client_id=%zz"), BAD, "page", "malformed_parameters"),
        (scene.get(&format!("/oauth/authorize?{}", "a=b&".repeat(70))), BAD, "page", "malformed_parameters"),
        (scene.get("/oauth/authorize/mcp/three"), StatusCode::NOT_FOUND, "page", "unknown_route"),
        (scene.authorize("response_type", None), REDIRECT, "invalid_request", "missing_response_type"),
        (
            scene.authorize("response_type", Some("token")),
            REDIRECT,
            "unsupported_response_type",
            "unsupported_response_type",
        ),
        (scene.authorize("response_mode", Some("form_post")), REDIRECT, "invalid_request", "unsupported_response_mode"),
        (scene.authorize("request_uri", Some("urn:x")), REDIRECT, "invalid_request", "request_object"),
        (scene.authorize("code_challenge", None), REDIRECT, "invalid_request", "missing_code_challenge"),
        (scene.authorize("code_challenge", Some("short")), REDIRECT, "invalid_request", "malformed_code_challenge"),
        (scene.authorize("code_challenge_method", Some("plain")), REDIRECT, "invalid_request", "code_challenge_method"),
        (scene.authorize("resource", None), REDIRECT, "invalid_target", "missing_resource"),
        (
            scene.authorize("resource", Some("https://other.example/mcp/one")),
            REDIRECT,
            "invalid_target",
            "wrong_resource",
        ),
        (scene.authorize("scope", Some("a\"b")), REDIRECT, "invalid_scope", "malformed_scope"),
    ] {
        scene.refuses(request, status, error, reason).await;
    }
    let correct = scene.client.authorize_url(&scene.client.request("/mcp/one"));
    let correct = correct.strip_prefix(&scene.gateway.origin).unwrap();
    for (twice, status, error, reason) in [
        ("state=b", BAD, "page", "malformed_parameters"),
        ("client_id=b", BAD, "page", "unknown_client"),
        ("redirect_uri=https%3A%2F%2Fevil.example", BAD, "page", "foreign_redirect_uri"),
        ("response_type=code", REDIRECT, "invalid_request", "repeated_parameter"),
        ("code_challenge=b", REDIRECT, "invalid_request", "repeated_parameter"),
        ("resource=https%3A%2F%2Fother.example", REDIRECT, "invalid_target", "several_resources"),
    ] {
        scene.refuses(scene.get(&format!("{correct}&{twice}")), status, error, reason).await;
    }
}

/// RFC 6749 section 5.2, RFC 7009 section 2.2.1.
#[tokio::test]
async fn bad_token_and_revocation_requests() {
    let scene = Scene::set().await;
    let (client, two) = (&scene.client, scene.gateway.url("/mcp/two"));
    let refresh = [("grant_type", "refresh_token"), ("refresh_token", scene.tokens.refresh.as_str())];
    let with = |parameter: (&'static str, &'static str)| [refresh[0], refresh[1], parameter];
    let basic = |request: RequestBuilder| request.basic_auth(&scene.confidential.id.replace(':', "%3A"), Some("wrong"));
    let code = ("code", scene.code.as_str());
    let moved = [("grant_type", "authorization_code"), code, ("code_verifier", &client.verifier), ("resource", &two)];
    for (request, status, error, reason) in [
        (scene.http.post(scene.gateway.url("/oauth/token")).json(&json!({})), BAD, "invalid_request", "malformed_form"),
        (scene.post("/oauth/token", &refresh), UNAUTHORIZED, "invalid_client", "missing_client_id"),
        (scene.post("/oauth/token", &with(("client_id", "dcr:x"))), UNAUTHORIZED, "invalid_client", "unknown_client"),
        (
            scene.post("/oauth/token", &refresh).bearer_auth("x"),
            UNAUTHORIZED,
            "invalid_client",
            "unsupported_client_authentication",
        ),
        (basic(scene.post("/oauth/token", &refresh)), UNAUTHORIZED, "invalid_client", "wrong_client_secret"),
        (scene.token(&scene.confidential, &refresh), UNAUTHORIZED, "invalid_client", "missing_client_secret"),
        (
            scene.token(client, &with(("client_secret", "x"))),
            UNAUTHORIZED,
            "invalid_client",
            "unexpected_client_secret",
        ),
        (scene.token(client, &with(("client_id", "dcr:x"))), BAD, "invalid_request", "ambiguous_client_authentication"),
        (scene.token(client, &[]), BAD, "invalid_request", "malformed_parameters"),
        (scene.token(client, &[("grant_type", "password")]), BAD, "unsupported_grant_type", "unsupported_grant_type"),
        (scene.token(client, &with(("refresh_token", "again"))), BAD, "invalid_request", "malformed_parameters"),
        (scene.token(client, &with(("scope", "a\"b"))), BAD, "invalid_scope", "malformed_scope"),
        (scene.token(client, &[refresh[0], ("refresh_token", "junk")]), BAD, "invalid_grant", "unknown_refresh_token"),
        (scene.token(&scene.stranger, &refresh), BAD, "invalid_grant", "refresh_token_of_another_client"),
        (scene.token(client, &[refresh[0], refresh[1], ("resource", &two)]), BAD, "invalid_target", "wrong_resource"),
        (scene.token(client, &moved[..1]), BAD, "invalid_request", "malformed_parameters"),
        (scene.token(client, &[moved[0], ("code", "junk")]), BAD, "invalid_grant", "unknown_code"),
        (scene.token(client, &moved), BAD, "invalid_target", "wrong_resource"),
        (
            scene.post("/oauth/token", &[("x", &"y".repeat(70_000))]),
            StatusCode::PAYLOAD_TOO_LARGE,
            "",
            "body_too_large",
        ),
        (scene.post("/oauth/revoke", &[("client_id", &client.id)]), BAD, "invalid_request", "malformed_parameters"),
        (scene.post("/oauth/revoke", &[("token", "x")]), UNAUTHORIZED, "invalid_client", "missing_client_id"),
    ] {
        scene.refuses(request, status, error, reason).await;
    }
    let register = |metadata: Value| scene.http.post(scene.gateway.url("/oauth/register")).json(&metadata);
    let evil = register(json!({"redirect_uris": ["http://evil.example/cb"]}));
    scene.refuses(evil, BAD, "invalid_redirect_uri", "invalid_redirect_uri").await;
    scene.refuses(register(json!([])), BAD, "invalid_client_metadata", "invalid_client_metadata").await;
}

/// A wrong proof changes one thing, on purpose: the code is spent.
#[tokio::test]
async fn bad_proofs_spend_the_code_and_are_named() {
    let scene = Scene::set().await;
    let mut browser = Browser::new(&scene.gateway.origin);
    let wrong = "wrong-wrong-wrong-wrong-wrong-wrong-wrong-wrong";
    for (number, (client, verifier, redirect, reason)) in [
        (&scene.client, None, None, "missing_code_verifier"),
        (&scene.client, Some(wrong), None, "wrong_code_verifier"),
        (&scene.client, Some(scene.client.verifier.as_str()), Some("http://127.0.0.1:1/x"), "wrong_redirect_uri"),
        (&scene.stranger, Some(scene.client.verifier.as_str()), None, "code_of_another_client"),
    ]
    .into_iter()
    .enumerate()
    {
        let code = scene.client.authorize(&mut browser, "/mcp/one", "ada").await;
        let mut form = vec![("grant_type", "authorization_code"), ("code", code.as_str())];
        form.extend(verifier.map(|verifier| ("code_verifier", verifier)));
        form.extend(redirect.map(|redirect| ("redirect_uri", redirect)));
        let id = format!("bad-proof-{number}");
        let answer = scene.token(client, &form).header("x-request-id", &id).send().await.unwrap();
        assert_eq!(answer.status(), BAD, "{reason}");
        assert!(scene.log.about(&id).iter().all(|line| line["reasonCode"] == reason), "{reason}");
    }
}

#[tokio::test]
async fn bad_forms_and_logins() {
    let scene = Scene::set().await;
    let interaction = &scene.consent.hidden_fields().into_iter().find(|(name, _)| name == "interaction").unwrap().1;
    let stranger = scene.http.get(scene.gateway.url(&format!("/oauth/setup?interaction={interaction}")));
    let fields = [("interaction", interaction.as_str()), ("csrf", "x"), ("decision", "approve")];
    let forged = scene.get("/").build().unwrap().headers()[header::COOKIE].clone();
    let forged =
        scene.post("/oauth/setup", &fields).header("sec-fetch-site", "same-origin").header(header::COOKIE, forged);
    let signed_out = scene.get("/").build().unwrap().headers()[header::COOKIE].clone();
    let sign_out = scene.post("/oauth/logout", &[("csrf", "x")]).header(header::COOKIE, signed_out);
    let forbidden = StatusCode::FORBIDDEN;
    for (request, status, reason) in [
        (stranger, BAD, "not_signed_in"),
        (scene.get("/oauth/setup"), BAD, "malformed_parameters"),
        (scene.get("/oauth/setup?interaction=unknown"), BAD, "stale_interaction"),
        (scene.decide(&scene.consent, "approve", "cross-site"), forbidden, "foreign_form"),
        (scene.decide(&scene.consent, "approve", "same-site"), forbidden, "foreign_form"),
        (scene.decide(&scene.decided, "approve", "same-origin"), BAD, "stale_interaction"),
        (scene.decide(&scene.consent, "whatever", "same-origin"), BAD, "malformed_parameters"),
        (forged, forbidden, "foreign_form"),
        (sign_out, forbidden, "foreign_form"),
        (scene.get("/oauth/callback?code=x&state=y"), BAD, "no_identity_provider"),
        (scene.get("/oauth/dev-login"), BAD, "malformed_parameters"),
        (scene.get("/oauth/dev-login?state=x&user=mallory"), BAD, "unknown_user"),
        (scene.get("/oauth/dev-login?state=x&user=ada"), BAD, "foreign_browser"),
        (scene.get("/oauth/dev-login?state=x").header("x-forwarded-for", "203.0.113.9"), forbidden, "not_loopback"),
    ] {
        scene.refuses(request, status, "page", reason).await;
    }
}

/// RFC 6750 section 3.1, and what is no request at all.
#[tokio::test]
async fn bad_tokens_methods_paths_and_hosts() {
    let scene = Scene::set().await;
    let bearer = |token: &str| format!("Bearer {token}");
    let revoked = Tokens::from(scene.client.refresh(&scene.tokens.refresh).await).await;
    let form = [("token", revoked.access.as_str()), ("client_id", scene.client.id.as_str())];
    assert_eq!(scene.post("/oauth/revoke", &form).send().await.unwrap().status(), StatusCode::OK);
    let url = |path: &str| scene.gateway.url(path);
    for (request, status, error, reason) in [
        (scene.http.post(url("/mcp/one")), UNAUTHORIZED, "unauthorized", "missing_token"),
        (scene.http.get(url("/mcp/one?access_token=x")), UNAUTHORIZED, "unauthorized", "missing_token"),
        (scene.call("/mcp/one", &bearer("junk")), UNAUTHORIZED, "invalid_token", "invalid_token"),
        (scene.call("/mcp/one", &bearer(&scene.tokens.refresh)), UNAUTHORIZED, "invalid_token", "invalid_token"),
        (scene.call("/mcp/one", &bearer(&revoked.access)), UNAUTHORIZED, "invalid_token", "invalid_token"),
        (scene.call("/mcp/two", &bearer(&scene.tokens.access)), UNAUTHORIZED, "invalid_token", "invalid_audience"),
        (scene.call("/mcp/one", &bearer(&"x".repeat(600))), BAD, "invalid_request", "invalid_request"),
        (
            scene.call("/mcp/one", &bearer(&"x".repeat(40_000))),
            StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            "",
            "header_fields_too_large",
        ),
        (scene.http.request(Method::TRACE, url("/mcp/one")), StatusCode::METHOD_NOT_ALLOWED, "", "method_not_allowed"),
        (scene.http.put(url("/oauth/token")), StatusCode::METHOD_NOT_ALLOWED, "", "method_not_allowed"),
        (scene.http.delete(url("/oauth/setup")), StatusCode::METHOD_NOT_ALLOWED, "", "method_not_allowed"),
        (scene.http.get(url("/mcp/%6fne")), StatusCode::NOT_FOUND, "", "not_found"),
        (scene.http.get(url("/mcp/two/..%2fone")), StatusCode::NOT_FOUND, "", "not_found"),
        (scene.http.get(url("/mcp//one")), StatusCode::NOT_FOUND, "", "not_found"),
        (scene.http.get(url("/oauth/token%00")), StatusCode::NOT_FOUND, "", "not_found"),
        (scene.http.get(url("/")).header("x-forwarded-host", "a b"), BAD, "", "bad_host"),
        (scene.http.get(url("/")).header(header::HOST, "a/b"), BAD, "", "bad_host"),
        (
            scene.call("/mcp/one", &bearer(&scene.tokens.access)).header(header::HOST, "evil.example"),
            UNAUTHORIZED,
            "invalid_token",
            "invalid_audience",
        ),
    ] {
        scene.refuses(request, status, error, reason).await;
    }
    assert!(scene.gateway.upstream.seen().is_empty());
}
