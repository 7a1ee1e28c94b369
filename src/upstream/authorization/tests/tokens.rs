use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use super::fake::{Fake, authorization_client, on_loopback, settings};
use crate::{
    crypto::Secret,
    outbound,
    upstream::{
        ClientAuthentication, OauthSettings, Registration, Resource,
        authorization::{
            AuthorizationClient, AuthorizationServer, CodeExchange, RegisteredClient, Revocation, TokenError as Error,
            TokenKind, Tokens,
        },
    },
};

async fn server(fake: &Fake) -> AuthorizationServer {
    on_loopback().discover(&fake.mcp(), &settings(), None).await.unwrap().as_ref().clone()
}

fn public() -> RegisteredClient {
    with(ClientAuthentication::None)
}

fn with(authentication: ClientAuthentication) -> RegisteredClient {
    RegisteredClient { client_id: "client:1".to_owned(), authentication, secret_expires_at: None, document: false }
}

fn authorization() -> AuthorizationClient {
    authorization_client(&["127.0.0.0/8"])
}

async fn refresh(fake: &Fake, settings: &OauthSettings) -> Result<Tokens, Error> {
    authorization().refresh(&server(fake).await, &public(), "refresh-0", settings).await
}

async fn exchange(fake: &Fake) -> Result<Tokens, Error> {
    let (code, code_verifier) = (Secret::new("code-1"), Secret::new("verifier"));
    let exchange =
        CodeExchange { code: &code, redirect_uri: "https://gw.example/callback", code_verifier: &code_verifier };
    authorization().exchange_code(&server(fake).await, &public(), exchange, &settings()).await
}

/// The outcome of a refresh that is answered so.
async fn refreshed(status: u16, content_type: &str, body: &str) -> Result<Tokens, Error> {
    let fake = Fake::start().await;
    fake.tell("/token", status, &[("Content-Type", content_type), ("Retry-After", "30")], body);
    refresh(&fake, &settings()).await
}

pub(super) async fn refreshed_json(status: u16, document: Value) -> Result<Tokens, Error> {
    refreshed(status, "application/json", &document.to_string()).await
}

pub(super) fn kind(outcome: &Result<Tokens, Error>) -> &'static str {
    match outcome {
        Ok(_) => "tokens",
        Err(Error::Ended { .. }) => "ended",
        Err(Error::ClientRejected { .. }) => "client",
        Err(Error::Refused { .. }) => "refused",
        Err(Error::Busy { .. }) => "busy",
        Err(Error::NotATokenResponse { .. }) => "nothing",
        Err(Error::TokenType { .. }) => "type",
        Err(Error::Unreachable(_)) => "unreachable",
        Err(Error::Assertion(_)) => "assertion",
    }
}

/// RFC 6749 sections 2.3.1, 4.1.3 and 6: each method presents the client in one way.
#[tokio::test]
async fn the_client_presents_itself_as_it_was_registered() {
    let secret = || Secret::new("s+c/r=t");
    let basic = format!("Basic {}", STANDARD.encode("client%3A1:s%2Bc%2Fr%3Dt"));
    for (authentication, header, id, in_body) in [
        (ClientAuthentication::None, None, Some("client:1"), None),
        (ClientAuthentication::SecretBasic(secret()), Some(basic.as_str()), None, None),
        (ClientAuthentication::SecretPost(secret()), None, Some("client:1"), Some("s+c/r=t")),
    ] {
        let fake = Fake::start().await;
        let server = server(&fake).await;
        let client = with(authentication);
        let _refused = authorization().refresh(&server, &client, "refresh-0", &settings()).await;
        let _revoked = authorization().revoke(&server, &client, &Secret::new("t"), TokenKind::Refresh).await.unwrap();
        for path in ["/token", "/revoke"] {
            let request = fake.last(path);
            assert_eq!(request.header("authorization"), header);
            assert_eq!(request.form("client_id").as_deref(), id);
            assert_eq!(request.form("client_secret").as_deref(), in_body);
            assert_eq!(request.header("accept"), Some("application/json"));
            assert_eq!(request.header("user-agent"), Some("sallyport/test"));
        }
    }
}

#[test]
fn a_client_registered_by_hand_is_taken_as_it_was_configured() {
    let authentication = ClientAuthentication::SecretPost(Secret::new("s"));
    let manual = Registration::Manual { client_id: "c".to_owned(), authentication, issuer: None };
    let client = RegisteredClient::manual(&manual).unwrap();
    assert!(client.client_id == "c" && matches!(client.authentication, ClientAuthentication::SecretPost(_)));
    assert!(RegisteredClient::manual(&Registration::Auto).is_none());
}

/// RFC 6749 section 4.1.3, RFC 7636 section 4.5, CL-22.
#[tokio::test]
async fn a_code_is_exchanged_with_what_it_was_bound_to() {
    let fake = Fake::start().await;
    fake.tell_json("/token", &json!({"access_token": "a", "token_type": "Bearer"}));
    let tokens = exchange(&fake).await.unwrap();
    assert_eq!(tokens.access_token.expose(), "a");
    let request = fake.last("/token");
    let resource = format!("{}/mcp", fake.origin());
    for (name, value) in [
        ("grant_type", "authorization_code"),
        ("code", "code-1"),
        ("redirect_uri", "https://gw.example/callback"),
        ("code_verifier", "verifier"),
        ("resource", resource.as_str()),
        ("client_id", "client:1"),
    ] {
        assert_eq!(request.form(name).as_deref(), Some(value), "{name}");
    }
    assert_eq!(request.form("scope"), None);
}

/// CL-22. Quirk "Entra: rejects `resource` with v2 scopes; refresh without `scope` changes audience".
#[tokio::test]
async fn a_refresh_names_the_resource_or_else_the_configured_scopes() {
    let scopes = vec!["api://1/read".to_owned(), "offline_access".to_owned()];
    let uri = Resource::Uri("api://1".to_owned());
    let own = "OWN";
    for (resource, scopes, sent_resource, sent_scope) in [
        (Resource::Send, vec![], Some(own), None),
        (Resource::Send, scopes.clone(), Some(own), None),
        (uri, scopes.clone(), Some("api://1"), None),
        (Resource::Omit, vec![], None, None),
        (Resource::Omit, scopes, None, Some("api://1/read offline_access")),
    ] {
        let fake = Fake::start().await;
        let _refused = refresh(&fake, &OauthSettings { scopes, resource, ..settings() }).await;
        let request = fake.last("/token");
        let own_resource = format!("{}/mcp", fake.origin());
        assert_eq!(
            request.form("resource").as_deref(),
            sent_resource.map(|text| if text == own { &own_resource } else { text })
        );
        assert_eq!(request.form("scope").as_deref(), sent_scope);
        assert_eq!(request.form("refresh_token").as_deref(), Some("refresh-0"));
    }
}

/// Quirk "GitHub: token endpoint answers form-encoded; failure is HTTP 200 with `error=`".
#[tokio::test]
async fn github_answers_in_forms_and_fails_with_status_200() {
    let form = "application/x-www-form-urlencoded; charset=utf-8";
    let body = "access_token=ghu_1&expires_in=28800&refresh_token=ghr_2&refresh_token_expires_in=15811200&scope=&token_type=bearer";
    let tokens = refreshed(200, form, body).await.unwrap();
    assert_eq!(tokens.access_token.expose(), "ghu_1");
    assert_eq!(tokens.refresh_token, Some(Secret::new("ghr_2")));
    assert_eq!((tokens.expires_in, tokens.scope), (Some(Duration::from_hours(8)), None));

    let dead = "error=bad_refresh_token&error_description=The+refresh+token+passed+is+incorrect+or+expired.";
    assert_eq!(kind(&refreshed(200, form, dead).await), "ended");
    assert_eq!(kind(&refreshed_json(200, json!({"error": "bad_refresh_token"})).await), "ended");
    assert_eq!(kind(&refreshed(200, form, "error=incorrect_client_credentials").await), "client");

    let fake = Fake::start().await;
    fake.tell("/token", 200, &[], "error=bad_verification_code&error_description=The+code+passed+is+incorrect");
    assert_eq!(kind(&exchange(&fake).await), "ended");

    // "Classic OAuth-app tokens never expire."
    let classic = refreshed(200, form, "access_token=gho_1&scope=repo%2Cgist&token_type=bearer").await.unwrap();
    assert_eq!(classic.expires_in, None);
}

/// Quirk "Slack: classic `oauth.v2.access` nests user token under `authed_user`, `token_type: user`", and
/// its errors with status 200.
#[tokio::test]
async fn slack_nests_the_token_of_the_person() {
    let nested = json!({
        "ok": true,
        "app_id": "A1",
        "authed_user": {
            "id": "U1", "scope": "chat:write,users:read", "access_token": "xoxp-1", "token_type": "user",
            "refresh_token": "xoxe-1", "expires_in": 43200
        },
    });
    let fake = Fake::start().await;
    fake.tell_json("/token", &nested);
    let slack = OauthSettings { scope_delimiter: ",".to_owned(), ..settings() };
    let tokens = refresh(&fake, &slack).await.unwrap();
    assert_eq!((tokens.access_token.expose(), tokens.refresh_token), ("xoxp-1", Some(Secret::new("xoxe-1"))));
    assert_eq!(
        (tokens.expires_in, tokens.scope.as_deref()),
        (Some(Duration::from_hours(12)), Some("chat:write users:read"))
    );

    let flat = json!({"ok": true, "access_token": "xoxp-2", "token_type": "user", "authed_user": {"id": "U1"}});
    assert_eq!(refreshed_json(200, flat).await.unwrap().access_token.expose(), "xoxp-2");
    assert_eq!(kind(&refreshed_json(200, json!({"ok": false, "error": "invalid_refresh_token"})).await), "ended");
    assert_eq!(kind(&refreshed_json(200, json!({"ok": false, "error": "invalid_client_id"})).await), "client");
    assert_eq!(kind(&refreshed_json(200, json!({"ok": false, "error": "ratelimited"})).await), "busy");
    let fake = Fake::start().await;
    fake.tell_json("/token", &json!({"ok": false, "error": "code_already_used"}));
    assert_eq!(kind(&exchange(&fake).await), "ended");
}

/// Quirks "Linear: rotating refresh", "Notion: rotates each use", "Cognito: does not rotate refresh tokens; keep the old
/// one", "Many: refresh response omits `refresh_token`".
#[tokio::test]
async fn the_new_refresh_token_is_taken_and_without_one_the_old_is_kept() {
    for (answer, expected) in [
        (json!({"access_token": "a", "refresh_token": "refresh-1"}), "refresh-1"),
        (json!({"access_token": "a"}), "refresh-0"),
        (json!({"access_token": "a", "refresh_token": null}), "refresh-0"),
        (json!({"access_token": "a", "refresh_token": ""}), "refresh-0"),
    ] {
        let tokens = refreshed_json(200, answer).await.unwrap();
        assert_eq!(tokens.refresh_token, Some(Secret::new(expected)));
    }
    let fake = Fake::start().await;
    fake.tell_json("/token", &json!({"access_token": "a"}));
    assert_eq!(exchange(&fake).await.unwrap().refresh_token, None);
}

/// Quirk "Supabase: HTTP 201 on token success; non-OAuth error bodies".
#[tokio::test]
async fn supabase_succeeds_with_201_and_fails_in_words_of_its_own() {
    let granted = json!({"access_token": "sbp_1", "refresh_token": "r", "expires_in": 86400, "token_type": "Bearer"});
    assert_eq!(kind(&refreshed_json(201, granted).await), "tokens");
    let gone = json!({"code": 400, "error_code": "refresh_token_not_found", "msg": "Invalid Refresh Token: Refresh Token Not Found"});
    assert_eq!(kind(&refreshed_json(400, gone).await), "ended");
    assert_eq!(kind(&refreshed_json(422, json!({"message": "Unrecognized client_id"})).await), "client");
    assert_eq!(kind(&refreshed_json(422, json!({"message": "Required parameter: client_secret"})).await), "refused");
}

/// Quirk "Metabase and others: `invalid_request` instead of `invalid_grant`". Metabase says so of every mistake, so its
/// words are no proof that the token is dead; those of servers that name the refresh token are.
#[tokio::test]
async fn an_invalid_request_is_an_end_only_if_it_speaks_of_a_dead_refresh_token() {
    for (code, description, expected) in [
        ("invalid_request", Some("The token request is invalid."), "refused"),
        ("invalid_request", None, "refused"),
        ("invalid_request", Some("Invalid request: missing refresh_token"), "refused"),
        ("invalid_request", Some("refresh token is required"), "refused"),
        ("invalid_request", Some("Invalid parameter: resource"), "refused"),
        ("invalid_request", Some("invalid refresh token"), "ended"),
        ("invalid_request", Some("Refresh token not found"), "ended"),
        // Quirk "Atlassian: rotating refresh".
        ("unauthorized_client", Some("refresh_token is invalid"), "ended"),
        ("unauthorized_client", Some("This client may not use the refresh token grant"), "client"),
        ("invalid_scope", Some("refresh token expired"), "refused"),
    ] {
        let outcome = refreshed_json(400, json!({"error": code, "error_description": description})).await;
        assert_eq!(kind(&outcome), expected, "{code} {description:?}");
    }
    // For a code no word of a refresh token counts.
    let fake = Fake::start().await;
    let body = json!({"error": "invalid_request", "error_description": "invalid refresh token"});
    fake.tell("/token", 400, &[], &body.to_string());
    assert_eq!(kind(&exchange(&fake).await), "refused");
}

/// RFC 6749 section 5.2. Quirks "Atlassian: 403 `invalid_grant`", "Keycloak", "Auth0", "Okta".
#[tokio::test]
async fn only_the_word_of_the_server_ends_a_connection() {
    for (status, body, expected) in [
        (400, json!({"error": "invalid_grant"}), "ended"),
        (401, json!({"error": "invalid_grant"}), "ended"),
        (403, json!({"error": "invalid_grant", "error_description": "Unknown or invalid refresh token."}), "ended"),
        (400, json!({"error": "invalid_grant", "error_description": "Token is not active"}), "ended"),
        (401, json!({"error": "invalid_client"}), "client"),
        (400, json!({"error": "unauthorized_client"}), "client"),
        (400, json!({"error": "invalid_scope"}), "refused"),
        (400, json!({"error": "invalid_target"}), "refused"),
        (400, json!({"error": "unsupported_grant_type"}), "refused"),
        (400, json!({"error": "access_denied"}), "refused"),
        (400, json!({"error": "temporarily_unavailable"}), "busy"),
        (400, json!({"error": "slow_down"}), "busy"),
        (500, json!({"error": "server_error"}), "busy"),
        // An outage has no say.
        (500, json!({"error": "invalid_grant"}), "busy"),
        (503, json!({"error": "invalid_client"}), "busy"),
        (429, json!({"error": "invalid_grant"}), "busy"),
        (400, json!({}), "nothing"),
        (400, json!({"error": 7}), "nothing"),
        (200, json!({"access_token": ""}), "nothing"),
        (200, json!({"access_token": 7}), "nothing"),
        (200, json!({"access_token": null, "error": "invalid_grant"}), "ended"),
    ] {
        let outcome = refreshed_json(status, body.clone()).await;
        assert_eq!(kind(&outcome), expected, "{status} {body}");
        assert_eq!(outcome.unwrap_err().is_transient(), !matches!(expected, "ended" | "client"), "{status} {body}");
    }
}

/// Quirk "WAF/CDN: transient 403/429/4xx at token endpoint is not a revoked grant".
#[tokio::test]
async fn a_page_of_something_in_between_ends_nothing() {
    for (status, body) in [
        (403, "<!DOCTYPE html><title>Attention Required! | Cloudflare</title> error=invalid_grant"),
        (401, "Unauthorized"),
        (404, "not found"),
        (406, ""),
        (418, "error"),
        (200, "<html>please wait</html>"),
    ] {
        let error = refreshed(status, "text/html", body).await.unwrap_err();
        assert!(matches!(error, Error::NotATokenResponse { .. }) && error.is_transient(), "{status}: {error:?}");
    }
    for status in [429, 502, 503, 504] {
        let error = refreshed(status, "text/html", "<html>").await.unwrap_err();
        assert_eq!((error.is_transient(), error.retry_after()), (true, Some(Duration::from_secs(30))));
    }
    let redirect = refreshed(302, "text/html", "").await;
    assert!(kind(&redirect) == "unreachable" && redirect.unwrap_err().is_transient());

    let fake = Fake::start().await;
    let server = server(&fake).await;
    drop(fake);
    let down = authorization().refresh(&server, &public(), "r", &settings()).await.unwrap_err();
    assert!(matches!(down, Error::Unreachable(outbound::Error::Connect { .. })) && down.is_transient());
}

/// RFC 7009 section 2.
#[tokio::test]
async fn a_token_is_revoked_where_that_is_offered() {
    let fake = Fake::start().await;
    let (server, token) = (server(&fake).await, Secret::new("t"));
    let revoke = |server: AuthorizationServer| {
        let token = token.clone();
        async move { authorization().revoke(&server, &public(), &token, TokenKind::Refresh).await }
    };
    assert_eq!(revoke(server.clone()).await.unwrap(), Revocation::Revoked);
    let request = fake.last("/revoke");
    assert_eq!(request.form("token").as_deref(), Some("t"));
    assert_eq!(request.form("token_type_hint").as_deref(), Some("refresh_token"));

    let none = AuthorizationServer { revocation_endpoint: None, ..server.clone() };
    assert_eq!(revoke(none).await.unwrap(), Revocation::NotOffered);

    for (status, body, expected) in [
        (503, "", "busy"),
        (401, r#"{"error":"invalid_client"}"#, "client"),
        (400, r#"{"error":"unsupported_token_type"}"#, "refused"),
        (404, "", "nothing"),
    ] {
        fake.tell("/revoke", status, &[], body);
        let error = revoke(server.clone()).await.unwrap_err();
        assert_eq!(kind(&Err(error)), expected);
    }
}

/// SEC-28.
#[tokio::test]
async fn a_token_endpoint_in_the_network_gets_no_code() {
    let fake = Fake::start().await;
    for endpoint in ["https://169.254.169.254/token", "https://10.0.0.1/token", "https://localhost:1/token"] {
        fake.with_metadata(&json!({"token_endpoint": endpoint}));
        let server = server(&fake).await;
        let strict = authorization_client(&[]);
        let error = strict.refresh(&server, &public(), "r", &settings()).await.unwrap_err();
        assert!(matches!(error, Error::Unreachable(outbound::Error::Blocked { .. })), "{endpoint}: {error:?}");
        assert!(error.operator_hint().contains("allowPrivateNetworks"));
    }
}

#[tokio::test]
async fn no_secret_is_printed() {
    let tokens = refreshed_json(200, json!({"access_token": "hunter2", "refresh_token": "hunter3"})).await.unwrap();
    assert!(!format!("{tokens:?}").contains("hunter"));
    let body = json!({"error": "invalid_grant", "error_description": "hunter2 is not known"});
    let error = refreshed_json(400, body).await.unwrap_err();
    assert!(!format!("{error} {error:?}").contains("hunter"));
    assert_eq!(error.upstream_error().and_then(|error| error.description()), Some("hunter2 is not known"));
}
