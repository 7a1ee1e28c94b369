use std::collections::BTreeMap;

use url::Url;

use super::fake::settings;
use crate::{
    crypto::{Secret, s256},
    upstream::{
        OauthSettings, Prompt, Resource,
        authorization::{AuthorizationRequest, AuthorizationServer, AuthorizationUrl, authorization_url, scopes},
    },
};

const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";

fn server() -> AuthorizationServer {
    AuthorizationServer {
        issuer: "https://as.example".to_owned(),
        authorization_endpoint: Url::parse("https://as.example/authorize").unwrap(),
        token_endpoint: Url::parse("https://as.example/token").unwrap(),
        registration_endpoint: None,
        revocation_endpoint: None,
        token_endpoint_auth_methods: Vec::new(),
        token_endpoint_auth_signing_algs: Vec::new(),
        scopes_supported: Vec::new(),
        prm_scopes: texts(&["read", "write"]),
        challenge_scope: None,
        resource: "https://mcp.example/".to_owned(),
        iss_supported: false,
        cimd_supported: false,
        takes_id_jag: false,
    }
}

fn texts(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

fn ask(server: &AuthorizationServer, settings: &OauthSettings, extra_scope: &str) -> AuthorizationUrl {
    let request = AuthorizationRequest {
        client_id: "client 1",
        redirect_uri: "https://gw.example/auth/connections/a/callback",
        state: &Secret::new("state-1"),
        code_verifier: &Secret::new(VERIFIER),
        extra_scope,
    };
    authorization_url(server, settings, request)
}

fn parameters(url: &AuthorizationUrl) -> BTreeMap<String, String> {
    let pairs: Vec<_> = url.url.query_pairs().into_owned().collect();
    let map: BTreeMap<_, _> = pairs.iter().cloned().collect();
    assert_eq!(map.len(), pairs.len(), "a parameter comes twice: {}", url.url);
    map
}

fn parameter(server: &AuthorizationServer, settings: &OauthSettings, name: &str) -> Option<String> {
    parameters(&ask(server, settings, "")).remove(name)
}

/// RFC 6749 section 4.1.1, RFC 7636 section 4.3, RFC 8707 section 2.
#[test]
fn the_request_carries_what_the_standards_want() {
    let url = ask(&server(), &settings(), "");
    let expected = [
        ("response_type", "code"),
        ("client_id", "client 1"),
        ("redirect_uri", "https://gw.example/auth/connections/a/callback"),
        ("state", "state-1"),
        ("code_challenge", "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"),
        ("code_challenge_method", "S256"),
        ("scope", "read write"),
        ("resource", "https://mcp.example/"),
    ];
    assert_eq!(s256(VERIFIER), expected[4].1);
    assert_eq!(parameters(&url), expected.map(|(name, value)| (name.to_owned(), value.to_owned())).into());
    assert_eq!(url.scope.as_deref(), Some("read write"));
    assert!(!url.url.as_str().contains(VERIFIER));
}

/// RFC 6749 section 3.1: the endpoint's query is retained; and what it says about our own parameters is not believed.
#[test]
fn the_query_of_the_endpoint_stays_but_cannot_speak_for_us() {
    let mut server = server();
    server.authorization_endpoint =
        Url::parse("https://as.example/authorize?tenant=a%26b&redirect_uri=https://evil.example&code_challenge_method=plain&prompt=none")
            .unwrap();
    let url = ask(&server, &settings(), "");
    let parameters = parameters(&url);
    assert_eq!(parameters["tenant"], "a&b");
    assert_eq!(parameters["redirect_uri"], "https://gw.example/auth/connections/a/callback");
    assert_eq!(parameters["code_challenge_method"], "S256");
    assert!(!parameters.contains_key("prompt"));
}

/// Quirks "Auth0: no RFC 8707 (`audience` instead)", "Slack-like: `user_scope`". The operator's word counts for more than
/// that of the endpoint's query, and than what we would say of our own accord.
#[test]
fn further_parameters_are_those_of_the_operator() {
    let further =
        [("audience", "https://api.example"), ("user_scope", "chat:write,users:read"), ("access_type", "online")];
    let further = further.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    let settings = OauthSettings { authorization_parameters: further, resource: Resource::Omit, ..settings() };
    let mut server = server();
    server.issuer = "https://accounts.google.com".to_owned();
    server.authorization_endpoint = Url::parse("https://as.example/authorize?audience=other&tenant=t").unwrap();
    let asked = parameters(&ask(&server, &settings, ""));
    assert_eq!(asked["audience"], "https://api.example");
    assert_eq!(asked["user_scope"], "chat:write,users:read");
    assert_eq!((&*asked["access_type"], &*asked["tenant"]), ("online", "t"));
    assert_eq!(asked.get("resource"), None);
}

/// Contract section 5, CL-20: the first that exists wins.
#[test]
fn scopes_are_the_configured_else_the_challenged_else_those_of_the_metadata() {
    let configured = OauthSettings { scopes: texts(&["mcp"]), ..settings() };
    let challenged = AuthorizationServer { challenge_scope: Some("issues:read  issues:read x".to_owned()), ..server() };
    let silent = AuthorizationServer { prm_scopes: Vec::new(), ..server() };
    assert_eq!(scopes(&challenged, &configured, ""), ["mcp"]);
    assert_eq!(scopes(&challenged, &settings(), ""), ["issues:read", "x"]);
    assert_eq!(scopes(&server(), &settings(), ""), ["read", "write"]);
    assert!(scopes(&silent, &settings(), "").is_empty());
    assert_eq!(parameter(&silent, &settings(), "scope"), None);
    let blank = AuthorizationServer { challenge_scope: Some(" ".to_owned()), ..server() };
    assert_eq!(scopes(&blank, &settings(), ""), ["read", "write"]);
}

/// CL-32: a step-up asks for the union.
#[test]
fn further_scope_is_united_with_the_usual() {
    assert_eq!(scopes(&server(), &settings(), "write admin"), ["read", "write", "admin"]);
    let configured = OauthSettings { scopes: texts(&["mcp"]), ..settings() };
    assert_eq!(scopes(&server(), &configured, "read"), ["mcp", "read"]);
}

/// RFC 6749 section 3.3, and a bound on what a stranger's metadata makes us send.
#[test]
fn what_is_no_scope_is_left_out_and_their_number_is_bounded() {
    let strange =
        AuthorizationServer { prm_scopes: texts(&["a b", "", "a\"", "\u{e4}", "ok", &"x".repeat(300)]), ..server() };
    assert_eq!(scopes(&strange, &settings(), ""), ["ok"]);
    let many = AuthorizationServer { prm_scopes: (0..1000).map(|n| n.to_string()).collect(), ..server() };
    assert_eq!(scopes(&many, &settings(), "").len(), 100);
}

/// CL-21, and contract section 5 on `prompt`.
#[test]
fn offline_access_is_asked_for_where_it_is_known_and_with_it_consent() {
    let knows = AuthorizationServer { scopes_supported: texts(&["openid", "offline_access"]), ..server() };
    assert_eq!(scopes(&knows, &settings(), ""), ["read", "write", "offline_access"]);
    assert_eq!(scopes(&knows, &settings(), "offline_access"), ["read", "write", "offline_access"]);
    // Alone it would take the place of the server's default scope.
    let silent = AuthorizationServer { prm_scopes: Vec::new(), ..knows.clone() };
    assert!(scopes(&silent, &settings(), "").is_empty());

    let asks =
        |server: &AuthorizationServer, prompt| parameter(server, &OauthSettings { prompt, ..settings() }, "prompt");
    assert_eq!(asks(&knows, Prompt::Auto).as_deref(), Some("consent"));
    assert_eq!(asks(&server(), Prompt::Auto), None);
    // Quirk "Entra: `prompt=consent` forces a screen each time".
    assert_eq!(asks(&knows, Prompt::Never), None);
    assert_eq!(asks(&server(), Prompt::Always("select_account")).as_deref(), Some("select_account"));
    assert_eq!(asks(&knows, Prompt::Always("login")).as_deref(), Some("login"));
}

/// Quirks "Slack-like: scope separators"; what is kept is separated by spaces all the same.
#[test]
fn scopes_are_separated_as_the_upstream_wants() {
    let slack =
        OauthSettings { scopes: texts(&["chat:write", "users:read"]), scope_delimiter: ",".to_owned(), ..settings() };
    let url = ask(&server(), &slack, "");
    assert_eq!(parameters(&url)["scope"], "chat:write,users:read");
    assert_eq!(url.scope.as_deref(), Some("chat:write users:read"));
}

/// Quirks "Entra: rejects `resource` with v2 scopes", "Stripe: trailing slash matters".
#[test]
fn the_resource_is_sent_as_it_is_spelled_or_not_at_all() {
    let with = |resource| parameter(&server(), &OauthSettings { resource, ..settings() }, "resource");
    assert_eq!(with(Resource::Send).as_deref(), Some("https://mcp.example/"));
    assert_eq!(with(Resource::Omit), None);
    assert_eq!(with(Resource::Uri("api://1234".to_owned())).as_deref(), Some("api://1234"));
}

/// Quirk "Google: refresh token only with `access_type=offline` and first consent".
#[test]
fn google_is_asked_for_a_refresh_token_in_its_own_way() {
    let google = AuthorizationServer { issuer: "https://accounts.google.com".to_owned(), ..server() };
    assert_eq!(parameter(&google, &settings(), "access_type").as_deref(), Some("offline"));
    assert_eq!(parameter(&google, &settings(), "prompt").as_deref(), Some("consent"));
    let never = OauthSettings { prompt: Prompt::Never, ..settings() };
    assert_eq!(parameter(&google, &never, "prompt"), None);
    assert_eq!(parameter(&server(), &settings(), "access_type"), None);
}
