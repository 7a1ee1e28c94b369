//! What real clients do that the standards do not foresee, each in the shape in which it was reported, and what it needs
//! to get. `docs/clients.md` says where the reports are from. Every row says why being tolerant widens nothing, and the
//! test holds each token against that: it is for one route, with one scope, and opens no other.
//!
//! | habit | test, here if no file is named |
//! | --- | --- |
//! | scopes wider than registered, the metadata's whole list, none; `resource` missing, twice, with a query or a slash; refresh without `scope`; several redirect URIs, other ports, private-use schemes; unknown grants; `prompt=consent` | `every_client_gets_in_by_its_own_habits_and_gets_no_more_than_others` |
//! | documents of Claude Code, VS Code, Copilot CLI, Zed | `clients_with_documents_get_in_by_the_redirect_that_they_send` |
//! | ChatGPT: `private_key_jwt` by a document of both spellings | `chatgpts_document_asks_for_its_key_pair` in `src/oauth/client_document.rs`, `client_keys.rs` |
//! | ChatGPT: needs `offline_access` announced; Codex, Gemini CLI: `resource` as the URL is spelled | `metadata.rs` |
//! | Claude.ai: HEAD, no redirect between spellings | `a_probe_of_the_route_is_answered_without_a_redirect` |
//! | Claude.ai: two registrations in one attempt | `two_registrations_of_one_attempt_do_not_disturb_each_other` |
//! | Claude.ai, Claude Code, SDKs: an id that is gone or never was ours | `a_client_that_is_gone_is_told_so_that_it_registers_anew` |
//! | Claude Code: several processes refresh at once, tokens of days ago | `within_the_grace_window_a_rotated_token_yields_the_same_pair`, `after_the_grace_window_a_rotated_token_ends_the_grant` in `token_refresh.rs` |
//! | Claude Code: a wrong declaration of elicitation | `a_wrong_declaration_of_elicitation_hides_no_link` in `tests/it/client_quirks.rs` |
//! | Copilot: `server/discover` first, its header afterwards | `a_probe_of_the_modern_era_does_not_stand_in_the_way_of_a_legacy_handshake` and the next one there |
//! | Cursor: Chromium's `form-action` and private-use schemes | `only_forms_that_redirect_away_leave_form_action_out` in `src/pages/tests.rs` |
//! | mcp-remote, Python SDK: endpoints guessed at the root | `guessed_endpoints_at_the_root_do_not_exist_because_metadata_names_the_real_ones` |
//! | some: content types at the token endpoint; a wrong `resource` there | `a_token_request_of_another_content_type_is_a_bad_request_and_burns_nothing`, `a_wrong_resource_does_not_burn_the_code` |
//! | opencode: tokens lost or exchanged | `a_client_that_loses_or_exchanges_its_tokens_gets_in_again` |
//! | one document, many installations | `a_second_installation_does_not_log_the_first_one_out` in `cimd.rs` |
//! | clients in browsers: CORS | `browser_resident_clients_may_read_and_preflight` in `metadata.rs` |

use reqwest::{Method, StatusCode, header};
use serde_json::{Value, json};

use crate::support::{Browser, Client, Host, Page, TestGateway, Tokens, choose_user};

/// How one client registers, asks and redeems.
struct Habit {
    client: &'static str,
    /// Why it gets nothing that another client would not get.
    harmless: &'static str,
    registration: Value,
    /// The redirect URI of the authorization request.
    redirect: &'static str,
    /// Parameters in place of those of a plain request; `$resource` stands for the route's URL, no value for leaving out.
    asks: &'static [(&'static str, Option<&'static str>)],
    /// Further parameters of the token request.
    redeems: &'static [(&'static str, &'static str)],
}

fn habits() -> Vec<Habit> {
    let loopback = |more: Value| {
        let mut registration =
            json!({"redirect_uris": ["http://localhost/callback"], "token_endpoint_auth_method": "none"});
        for (name, value) in more.as_object().unwrap() {
            registration[name] = value.clone();
        }
        registration
    };
    let one = |uri: &str| json!({"redirect_uris": [uri], "token_endpoint_auth_method": "none"});
    let cursor = json!({
        "client_name": "Cursor",
        "redirect_uris": ["cursor://anysphere.cursor-mcp/oauth/callback",
                          "https://www.cursor.com/agents/mcp/oauth/callback", "http://localhost:8787/callback"],
        "token_endpoint_auth_method": "none",
    });
    let vscode = json!({
        "client_name": "Visual Studio Code",
        "redirect_uris": ["https://insiders.vscode.dev/redirect", "https://vscode.dev/redirect", "http://127.0.0.1/",
                          "http://127.0.0.1:33418/"],
        "grant_types": ["authorization_code", "refresh_token", "urn:ietf:params:oauth:grant-type:device_code"],
        "response_types": ["code"],
        "token_endpoint_auth_method": "none",
    });
    let habit = |client, harmless, registration, redirect, asks, redeems| Habit {
        client,
        harmless,
        registration,
        redirect,
        asks,
        redeems,
    };
    vec![
        habit(
            "Claude Code registers a narrow scope and asks for a wider one",
            "there is one scope; whatever is asked for, the token has that one and says so",
            loopback(json!({"client_name": "Claude Code (gw)", "scope": "openid profile"})),
            "http://localhost:52341/callback",
            &[("scope", Some("mcp:tools offline_access admin:everything"))],
            &[("resource", "$resource")],
        ),
        habit(
            "Claude Code of 2025 leaves out the resource",
            "the path of the authorization endpoint says which route is meant, and the code is bound to it",
            loopback(json!({"client_name": "Claude Code"})),
            "http://localhost:4/callback",
            &[("resource", None)],
            &[],
        ),
        habit(
            "Claude.ai asks for every scope of the authorization server's metadata, in its order, without a resource",
            "offline_access opens nothing at a route; the rest is the one scope",
            one("https://claude.ai/api/mcp/auth_callback"),
            "https://claude.ai/api/mcp/auth_callback",
            &[("scope", Some("mcp:tools offline_access")), ("resource", None)],
            &[],
        ),
        habit(
            "ChatGPT adds a query to the resource",
            "a query names no other route: the canonical URI of the route is what the token is bound to",
            one("https://chatgpt.com/connector_platform_oauth_redirect"),
            "https://chatgpt.com/connector_platform_oauth_redirect",
            &[("resource", Some("$resource?kb_name=handbook"))],
            &[("resource", "$resource?kb_name=handbook")],
        ),
        habit(
            "Cursor registers three redirect URIs of three kinds and uses its own scheme",
            "each is checked on its own, and the answer goes to exactly one of them",
            cursor.clone(),
            "cursor://anysphere.cursor-mcp/oauth/callback",
            &[],
            &[("resource", "$resource")],
        ),
        habit(
            "cursor-agent uses the loopback address of the same registration, on another port",
            "the port of a loopback address is the program's to choose, and never leaves the machine",
            cursor,
            "http://localhost:61000/callback",
            &[],
            &[],
        ),
        habit(
            "VS Code listens at a random port, and registers grants that we do not have",
            "unknown grants are dropped from the registration, and the answer says so",
            vscode.clone(),
            "http://127.0.0.1:51999/",
            &[],
            &[("resource", "$resource")],
        ),
        habit(
            "VS Code in the browser returns to its own site",
            "an https address is compared letter by letter",
            vscode,
            "https://vscode.dev/redirect",
            &[("resource", Some("$resource/"))],
            &[("resource", "$resource")],
        ),
        habit(
            "Copilot CLI registers without a scope, with a port that it does not use later",
            "the port of a loopback address is the program's to choose",
            json!({"client_name": "copilot-cli", "redirect_uris": ["http://127.0.0.1:33418/"],
                   "token_endpoint_auth_method": "none"}),
            "http://127.0.0.1:40404/",
            &[],
            &[],
        ),
        habit(
            "Copilot Studio returns to a site of Microsoft",
            "an https address is compared letter by letter",
            one("https://global.consent.azure-apim.net/redirect/gateway"),
            "https://global.consent.azure-apim.net/redirect/gateway",
            &[],
            &[],
        ),
        habit(
            "Codex sends the resource twice",
            "only equal values collapse; two different ones are an error",
            loopback(json!({"client_name": "Codex"})),
            "http://localhost:1455/callback",
            &[("resource", Some("$resource")), ("resource", Some("$resource"))],
            &[("resource", "$resource"), ("resource", "$resource")],
        ),
        habit(
            "older Codex leaves out the resource when it redeems",
            "the code knows its route",
            loopback(json!({"client_name": "Codex"})),
            "http://localhost:1455/callback",
            &[],
            &[],
        ),
        habit(
            "Gemini CLI spells the resource with a slash at the end",
            "one slash at the end is no other route",
            loopback(json!({"client_name": "Gemini CLI MCP Client", "scope": ""})),
            "http://localhost:7777/callback",
            &[("resource", Some("$resource/"))],
            &[("resource", "$resource/")],
        ),
        habit(
            "Warp returns by a scheme of its own, with `mcp` for a host",
            "the page says which program's links it opens, not that host, and the client is unverified",
            one("warp://mcp/oauth2callback"),
            "warp://mcp/oauth2callback",
            &[],
            &[],
        ),
        habit(
            "mcp-remote and the TypeScript SDK ask for consent together with offline access",
            "asking again is what the person would want anyway",
            loopback(json!({"client_name": "MCP CLI Proxy", "software_id": "2e6dc280-f3c3-4e01-99a7-8181dbd1d23d"})),
            "http://localhost:3334/callback",
            &[("prompt", Some("consent")), ("scope", Some("openid email profile offline_access"))],
            &[],
        ),
    ]
}

#[tokio::test]
async fn every_client_gets_in_by_its_own_habits_and_gets_no_more_than_others() {
    let gateway = TestGateway::start().await;
    let resource = gateway.url("/mcp/one");
    for habit in habits() {
        let what = format!("{} (harmless: {})", habit.client, habit.harmless);
        let mut client = Client::register_as(&gateway, habit.registration.clone()).await;
        client.redirect_uri = habit.redirect.to_owned();
        let mut browser = Browser::new(&gateway.origin);
        let chooser = browser.open(&asked(&client, &habit, &resource)).await;
        let page = choose_user(&mut browser, chooser, "ada").await;
        assert_eq!(page.status, StatusCode::OK, "{what}: {}", page.html);
        assert!(page.html.contains("Unverified application"), "{what}");
        let left = browser.submit(&page, ("decision", "approve")).await;
        let (target, _) = left.leaves_to.as_deref().unwrap().split_once('?').unwrap();
        assert_eq!(target, habit.redirect, "{what}");
        assert_eq!(left.answer()["iss"], resource, "{what}");
        let granted = redeem(&client, &habit, &left.answer()["code"], &resource).await;
        let scope = granted["scope"].as_str().unwrap();
        assert!(["mcp:tools", "mcp:tools offline_access"].contains(&scope), "{what}: {scope}");
        assert_eq!(granted["resource"], resource, "{what}");
        // Claude Code and others leave the scope out of their refreshes.
        let refreshed = Tokens::from(client.refresh(granted["refresh_token"].as_str().unwrap()).await).await;
        assert_eq!(client.call("/mcp/one", &refreshed.access).await.status(), StatusCode::OK, "{what}");
        assert_eq!(client.call("/mcp/two", &refreshed.access).await.status(), StatusCode::UNAUTHORIZED, "{what}");
    }
}

/// The authorization request, at the endpoint that the route's own metadata names.
fn asked(client: &Client, habit: &Habit, resource: &str) -> String {
    let mut request = client.request("/mcp/one");
    request.retain(|(name, _)| !habit.asks.iter().any(|(changed, _)| changed == name));
    let asks = habit.asks.iter().filter_map(|(name, value)| Some((*name, (*value)?.replace("$resource", resource))));
    request.extend(asks);
    client.authorize_url(&request).replacen("/oauth/authorize?", "/oauth/authorize/mcp/one?", 1)
}

async fn redeem(client: &Client, habit: &Habit, code: &str, resource: &str) -> Value {
    let further: Vec<_> =
        habit.redeems.iter().map(|(name, value)| (*name, value.replace("$resource", resource))).collect();
    let mut form = vec![
        ("grant_type", "authorization_code"),
        ("code", code),
        ("redirect_uri", client.redirect_uri.as_str()),
        ("code_verifier", client.verifier.as_str()),
    ];
    form.extend(further.iter().map(|(name, value)| (*name, value.as_str())));
    let response = client.token(&form).await;
    assert_eq!(response.status(), StatusCode::OK, "{}", habit.client);
    response.json().await.unwrap()
}

/// The documents of the clients that come with one, as they are published, at a host of the test. Harmless: the answer
/// goes to an address that the document lists, but for the port of a loopback one.
#[tokio::test]
async fn clients_with_documents_get_in_by_the_redirect_that_they_send() {
    let host = Host::start().await;
    let gateway = TestGateway::with(host.reachable()).await;
    let claude = json!({"client_name": "Claude Code", "redirect_uris": ["http://localhost/callback", "http://127.0.0.1/callback"],
                        "grant_types": ["authorization_code", "refresh_token"], "response_types": ["code"]});
    let vscode = json!({"client_name": "Visual Studio Code", "application_type": "native",
                        "redirect_uris": ["http://127.0.0.1:33418/", "http://127.0.0.1/", "https://vscode.dev/redirect"]});
    for (client, document, sent) in [
        ("Claude Code", claude, "http://localhost:49152/callback"),
        ("VS Code", vscode, "http://127.0.0.1:49153/"),
        ("Copilot CLI", json!({"redirect_uris": ["http://127.0.0.1:33418/"]}), "http://127.0.0.1:49154/"),
        ("Zed", json!({"redirect_uris": ["http://127.0.0.1/callback"]}), "http://127.0.0.1:49155/callback"),
    ] {
        let path = format!("/{}.json", client.replace(' ', "-"));
        let id = host.publish_client_with(&path, sent, document);
        let client_of_document = Client::of_document(&gateway, &id, sent);
        let tokens = client_of_document.log_in("/mcp/one", "ada").await;
        assert_eq!(client_of_document.call("/mcp/one", &tokens.access).await.status(), StatusCode::OK, "{client}");
        assert_eq!(client_of_document.call("/mcp/two", &tokens.access).await.status(), 401, "{client}");
    }
}

/// Claude.ai probes with HEAD, and a redirect between the spellings of a URL breaks it. Harmless: the answer is the
/// challenge that everybody without a token gets.
#[tokio::test]
async fn a_probe_of_the_route_is_answered_without_a_redirect() {
    let gateway = TestGateway::start().await;
    let http = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    for path in ["/mcp/one", "/mcp/one/"] {
        for method in [Method::HEAD, Method::GET, Method::POST] {
            let answer = http.request(method.clone(), gateway.url(path)).send().await.unwrap();
            assert_eq!(answer.status(), StatusCode::UNAUTHORIZED, "{method} {path}");
            let challenge = answer.headers()[header::WWW_AUTHENTICATE].to_str().unwrap();
            assert!(challenge.contains("resource_metadata="), "{method} {path}: {challenge}");
            let metadata = format!("/.well-known/oauth-protected-resource{path}");
            assert_eq!(http.head(gateway.url(&metadata)).send().await.unwrap().status(), StatusCode::OK, "{metadata}");
        }
    }
}

/// mcp-remote and the Python SDK guess endpoints at the origin root where metadata names none. Ours names them all, so
/// nothing is there: no second way in, and a route may have such a path.
#[tokio::test]
async fn guessed_endpoints_at_the_root_do_not_exist_because_metadata_names_the_real_ones() {
    let gateway = TestGateway::start().await;
    let http = reqwest::Client::new();
    for path in ["/register", "/authorize", "/token"] {
        for method in [Method::GET, Method::POST] {
            let answer = http.request(method, gateway.url(path)).send().await.unwrap();
            assert_eq!(answer.status(), StatusCode::NOT_FOUND, "{path}");
        }
    }
    let metadata: Value =
        http.get(gateway.url("/.well-known/oauth-authorization-server")).send().await.unwrap().json().await.unwrap();
    for endpoint in ["registration_endpoint", "authorization_endpoint", "token_endpoint"] {
        assert!(metadata[endpoint].is_string(), "{endpoint}");
    }
}

/// Odd content types at the token endpoint: 400, not 500, and nothing is spent by them.
#[tokio::test]
async fn a_token_request_of_another_content_type_is_a_bad_request_and_burns_nothing() {
    let gateway = TestGateway::start().await;
    let client = Client::register(&gateway).await;
    let code = client.authorize(&mut Browser::new(&gateway.origin), "/mcp/one", "ada").await;
    let json = json!({"grant_type": "authorization_code", "code": code, "client_id": client.id,
                      "redirect_uri": client.redirect_uri, "code_verifier": client.verifier});
    for kind in
        ["application/json", "text/plain", "multipart/form-data; boundary=x", "x", "application/x-www-form-urlencodedx"]
    {
        let request = client.http.post(gateway.url("/oauth/token")).header(header::CONTENT_TYPE, kind);
        let answer = request.body(json.to_string()).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::BAD_REQUEST, "{kind}");
        assert_eq!(answer.json::<Value>().await.unwrap()["error"], "invalid_request", "{kind}");
    }
    let with_charset = client
        .http
        .post(gateway.url("/oauth/token"))
        .header(header::CONTENT_TYPE, "Application/X-WWW-Form-Urlencoded; charset=UTF-8")
        .body(url::form_urlencoded::Serializer::new(String::new()).extend_pairs(strings(&json)).finish());
    assert_eq!(with_charset.send().await.unwrap().status(), StatusCode::OK);
}

fn strings(object: &Value) -> Vec<(String, String)> {
    object.as_object().unwrap().iter().map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned())).collect()
}

/// A wrong `resource` proves nothing about who asks, so it spends nothing; neither does it get anything.
#[tokio::test]
async fn a_wrong_resource_does_not_burn_the_code() {
    let gateway = TestGateway::start().await;
    let client = Client::register(&gateway).await;
    let code = client.authorize(&mut Browser::new(&gateway.origin), "/mcp/one", "ada").await;
    for wrong in [gateway.url("/mcp/two"), gateway.origin.clone(), "https://other.example/mcp/one".to_owned()] {
        let form = [
            ("grant_type", "authorization_code"),
            ("code", code.as_str()),
            ("redirect_uri", &client.redirect_uri),
            ("code_verifier", &client.verifier),
            ("resource", &wrong),
        ];
        let refused = client.token(&form).await;
        assert_eq!(refused.json::<Value>().await.unwrap()["error"], "invalid_target", "{wrong}");
    }
    Tokens::from(client.redeem(&code).await).await;
}

/// Claude Code replays ids that are gone, and Claude.ai and the SDKs register anew only on 401 `invalid_client`; a dead
/// refresh token is `invalid_grant`, which makes them authorize anew. Harmless: neither gets a token.
#[tokio::test]
async fn a_client_that_is_gone_is_told_so_that_it_registers_anew() {
    let gateway = TestGateway::start().await;
    let mut client = Client::register(&gateway).await;
    let dead = client.refresh("rt_dead").await;
    assert_eq!(dead.status(), StatusCode::BAD_REQUEST);
    assert_eq!(dead.json::<Value>().await.unwrap()["error"], "invalid_grant");
    client.id = "dcr:pruned".to_owned();
    let gone = client.refresh("rt_dead").await;
    assert_eq!(gone.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(gone.json::<Value>().await.unwrap()["error"], "invalid_client");
    let page: Page = Browser::new(&gateway.origin).open(&client.authorize_url(&client.request("/mcp/one"))).await;
    assert_eq!((page.status, page.leaves_to), (StatusCode::BAD_REQUEST, None));
    assert!(page.html.contains("is not registered here"));
}

/// Claude.ai registers twice in one attempt, from two addresses. Harmless: two registrations are two strangers.
#[tokio::test]
async fn two_registrations_of_one_attempt_do_not_disturb_each_other() {
    let gateway = TestGateway::start().await;
    let (first, second) = (Client::register(&gateway).await, Client::register(&gateway).await);
    let code = first.authorize(&mut Browser::new(&gateway.origin), "/mcp/one", "ada").await;
    let foreign = second.redeem(&code).await;
    assert_eq!(foreign.json::<Value>().await.unwrap()["error"], "invalid_grant");
    second.log_in("/mcp/one", "ada").await;
    first.log_in("/mcp/one", "ada").await;
}

/// opencode keeps the tokens of all its servers in one file and has been seen to lose or exchange them when several
/// are written at once (opencode#42875). Harmless: a token of another route opens nothing and costs nothing, and whoever
/// has lost theirs signs in again, by the registration that they still have or by a new one.
#[tokio::test]
async fn a_client_that_loses_or_exchanges_its_tokens_gets_in_again() {
    let gateway = TestGateway::start().await;
    let (first, second) = (Client::register(&gateway).await, Client::register(&gateway).await);
    let (one, two) = (first.log_in("/mcp/one", "ada").await, second.log_in("/mcp/two", "ada").await);

    assert_eq!(first.call("/mcp/one", &two.access).await.status(), StatusCode::UNAUTHORIZED);
    let exchanged = first.refresh(&two.refresh).await;
    assert_eq!(exchanged.json::<Value>().await.unwrap()["error"], "invalid_grant");
    let two = Tokens::from(second.refresh(&two.refresh).await).await;
    assert_eq!(second.call("/mcp/two", &two.access).await.status(), StatusCode::OK, "the mistake cost nothing");

    let again = first.log_in("/mcp/one", "ada").await;
    assert_eq!(first.call("/mcp/one", &again.access).await.status(), StatusCode::OK);
    let anew = Client::register(&gateway).await.log_in("/mcp/one", "ada").await;
    assert_eq!(first.call("/mcp/one", &anew.access).await.status(), StatusCode::OK);
    assert_eq!(
        first.call("/mcp/one", &one.access).await.status(),
        StatusCode::OK,
        "another installation's may be in use"
    );
}
