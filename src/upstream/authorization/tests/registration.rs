use std::time::Duration;

use serde_json::{Value, json};

use super::fake::{Fake, authorization_client, on_loopback, settings};
use crate::{
    clock::Timestamp,
    outbound,
    upstream::{
        ClientAuthentication,
        authorization::{AuthorizationServer, RegisteredClient, Registrant, RegistrationError as Error},
    },
};

const REGISTRANT: Registrant<'_> = Registrant {
    redirect_uri: "https://gw.example/auth/connections/linear/callback",
    client_name: "Sallyport",
    client_uri: Some("https://gw.example/"),
    scope: Some("issues:read"),
};

async fn server(fake: &Fake) -> AuthorizationServer {
    on_loopback().discover(&fake.mcp(), &settings(), None).await.unwrap().as_ref().clone()
}

async fn register(fake: &Fake, registrant: &Registrant<'_>) -> Result<RegisteredClient, Error> {
    authorization_client(&["127.0.0.0/8"]).register(&server(fake).await, registrant).await
}

fn request(fake: &Fake) -> Value {
    serde_json::from_str(&fake.last("/register").body).unwrap()
}

/// `none`, or the method and its secret.
fn method(client: &RegisteredClient) -> (&'static str, &str) {
    match &client.authentication {
        ClientAuthentication::None => ("none", ""),
        ClientAuthentication::SecretBasic(secret) => ("basic", secret.expose()),
        ClientAuthentication::SecretPost(secret) => ("post", secret.expose()),
        ClientAuthentication::PrivateKeyJwt => ("key", ""),
    }
}

/// RFC 7591 sections 2 and 3.1; CL-15, CL-16.
#[tokio::test]
async fn a_registration_says_what_the_gateway_is() {
    let fake = Fake::start().await;
    let client = register(&fake, &REGISTRANT).await.unwrap();
    assert_eq!((client.client_id.as_str(), method(&client).0, client.secret_expires_at), ("client-1", "none", None));
    assert_eq!(
        request(&fake),
        json!({
            "client_name": "Sallyport",
            "client_uri": "https://gw.example/",
            "redirect_uris": ["https://gw.example/auth/connections/linear/callback"],
            "application_type": "web",
            "grant_types": ["authorization_code", "refresh_token"],
            "response_types": ["code"],
            "token_endpoint_auth_method": "none",
            "scope": "issues:read",
        })
    );
    assert_eq!(fake.last("/register").header("authorization"), None);

    let local =
        Registrant { redirect_uri: "http://127.0.0.1:8080/callback", client_uri: None, scope: None, ..REGISTRANT };
    register(&fake, &local).await.unwrap();
    assert_eq!(request(&fake)["application_type"], "native");
    assert!(request(&fake).get("scope").is_none() && request(&fake).get("client_uri").is_none());
}

/// CL-19, RFC 8414 section 2: an omitted list means `client_secret_basic`. Quirk "Slack: only `client_secret_post`".
#[tokio::test]
async fn the_method_asked_for_is_one_that_the_server_takes() {
    for (supported, asked) in [
        (json!(["client_secret_basic", "client_secret_post", "none"]), Some("none")),
        (json!(["client_secret_post", "client_secret_basic"]), Some("client_secret_post")),
        (json!(["private_key_jwt", "client_secret_post"]), Some("client_secret_post")),
        (json!(null), Some("client_secret_basic")),
        (json!(["private_key_jwt", "tls_client_auth"]), Some("private_key_jwt")),
        (json!(["tls_client_auth"]), None),
    ] {
        let fake = Fake::start().await;
        fake.with_metadata(&json!({"token_endpoint_auth_methods_supported": supported}));
        match register(&fake, &REGISTRANT).await {
            Ok(_) => assert_eq!(request(&fake)["token_endpoint_auth_method"].as_str(), asked),
            Err(error) => assert!(asked.is_none() && matches!(error, Error::NoMethod { .. }), "{error:?}"),
        }
    }
}

/// RFC 7591 section 3.2.1: the server may register something else than it was asked for.
#[tokio::test]
async fn the_method_and_the_secret_that_come_back_are_used() {
    let basic_or_post = json!(["client_secret_basic", "client_secret_post"]);
    let post = json!(["client_secret_post"]);
    for (supported, answer, expected) in [
        (json!(["none"]), json!({"token_endpoint_auth_method": "none"}), Some(("none", ""))),
        (json!(["none"]), json!({}), Some(("none", ""))),
        (basic_or_post.clone(), json!({"client_secret": "s"}), Some(("post", "s"))),
        (post.clone(), json!({"client_secret": "s"}), Some(("post", "s"))),
        (json!(["none", "client_secret_post"]), json!({"client_secret": "s"}), Some(("post", "s"))),
        (json!(["none"]), json!({"client_secret": "s"}), Some(("basic", "s"))),
        (
            basic_or_post.clone(),
            json!({"client_secret": "s", "token_endpoint_auth_method": "client_secret_post"}),
            Some(("post", "s")),
        ),
        (
            json!(["none"]),
            json!({"client_secret": "s", "token_endpoint_auth_method": "client_secret_basic"}),
            Some(("basic", "s")),
        ),
        // Quirk "Figma: returns a secret while saying `none`, then demands it".
        (json!(["none"]), json!({"client_secret": "s", "token_endpoint_auth_method": "none"}), Some(("post", "s"))),
        (basic_or_post.clone(), json!({"client_secret": "s", "token_endpoint_auth_method": "x"}), Some(("basic", "s"))),
        (basic_or_post.clone(), json!({"token_endpoint_auth_method": "private_key_jwt"}), None),
        (json!(["none"]), json!({"client_secret": null}), Some(("none", ""))),
        (json!(["none"]), json!({"client_secret": ""}), Some(("none", ""))),
    ] {
        for status in [201, 200] {
            let fake = Fake::start().await;
            fake.with_metadata(&json!({"token_endpoint_auth_methods_supported": supported}));
            let mut document = answer.clone();
            document["client_id"] = "c".into();
            fake.tell("/register", status, &[], &document.to_string());
            let client = register(&fake, &REGISTRANT).await;
            assert_eq!(client.as_ref().ok().map(method), expected, "{supported} {answer}");
            assert!(client.is_ok() || matches!(client, Err(Error::NoMethod { .. })));
        }
    }
}

#[tokio::test]
async fn the_end_of_a_secret_is_kept() {
    for (end, expected) in [(json!(0), None), (json!(1_900_000_000), Some(1_900_000_000)), (json!("soon"), None)] {
        let fake = Fake::start().await;
        let document = json!({"client_id": "c", "client_secret": "s", "client_secret_expires_at": end});
        fake.tell("/register", 201, &[], &document.to_string());
        let client = register(&fake, &REGISTRANT).await.unwrap();
        assert_eq!(client.secret_expires_at, expected.map(Timestamp::from_seconds), "{end}");
    }
}

/// Quirks "GitHub: no DCR", "Figma: DCR allow-listed by exact `client_name`, plain-text `Forbidden`", "Okta: DCR needs
/// an admin token", "authentik, Entra, Slack, Google: no DCR".
#[tokio::test]
async fn a_server_that_registers_nobody_makes_the_operator_register_by_hand() {
    let fake = Fake::start().await;
    fake.with_metadata(&json!({"registration_endpoint": null}));
    let not_offered = register(&fake, &REGISTRANT).await.unwrap_err();
    assert!(matches!(not_offered, Error::NotOffered { .. }));
    let mut errors = vec![not_offered];
    for (status, body) in [
        (403, "Forbidden"),
        (403, r#"{"errorCode":"E0000006","errorSummary":"You do not have permission"}"#),
        (401, r#"{"error":"invalid_token","error_description":"initial access token required"}"#),
        (401, ""),
    ] {
        fake.with_metadata(&json!({}));
        fake.tell("/register", status, &[("Content-Type", "text/plain")], body);
        let error = register(&fake, &REGISTRANT).await.unwrap_err();
        assert!(matches!(error, Error::Forbidden { .. }), "{status} {body}: {error:?}");
        errors.push(error);
    }
    for error in errors {
        assert!(!error.is_transient() && error.operator_hint().contains("mode: manual"), "{error}");
        assert!(error.user_sentence().contains("administrator"));
    }
}

/// RFC 7591 section 3.2.2.
#[tokio::test]
async fn a_refused_registration_tells_why() {
    let fake = Fake::start().await;
    let body = r#"{"error":"invalid_redirect_uri","error_description":"not <allowed>"}"#;
    fake.tell("/register", 400, &[], body);
    let error = register(&fake, &REGISTRANT).await.unwrap_err();
    assert!(matches!(error, Error::Refused { .. }) && !error.is_transient());
    assert!(error.to_string().contains("invalid_redirect_uri") && !error.to_string().contains("allowed"), "{error}");
    assert_eq!(error.upstream_error().and_then(|error| error.description()), Some("not <allowed>"));
}

#[tokio::test]
async fn an_answer_without_a_client_is_no_registration() {
    for (status, body) in [
        (200, "<html>"),
        (201, "{}"),
        (200, r#"{"client_id":""}"#),
        (200, r#"{"client_id":"a\nb"}"#),
        (200, r#"{"client_id":7}"#),
        (404, "not found"),
        (400, r#"{"client_id":"c"}"#),
    ] {
        let fake = Fake::start().await;
        fake.tell("/register", status, &[], body);
        let error = register(&fake, &REGISTRANT).await.unwrap_err();
        assert!(matches!(error, Error::NotARegistration { .. }), "{status} {body}: {error:?}");
    }
}

#[tokio::test]
async fn an_outage_is_waited_for() {
    for status in [429, 500, 503] {
        let fake = Fake::start().await;
        fake.tell("/register", status, &[("Retry-After", "7")], "");
        let error = register(&fake, &REGISTRANT).await.unwrap_err();
        assert!(error.is_transient());
        assert!(matches!(error, Error::Busy { retry_after: Some(after), .. } if after == Duration::from_secs(7)));
    }
}

/// SEC-28: the endpoint is a stranger's word, too.
#[tokio::test]
async fn a_registration_endpoint_in_the_network_is_not_called() {
    let fake = Fake::start().await;
    fake.with_metadata(&json!({"registration_endpoint": "https://169.254.169.254/register"}));
    let error = register(&fake, &REGISTRANT).await.unwrap_err();
    assert!(matches!(error, Error::Unreachable(outbound::Error::Blocked { .. })), "{error:?}");
}

#[test]
fn a_client_never_prints_its_secret() {
    let client = RegisteredClient {
        client_id: "c".to_owned(),
        authentication: ClientAuthentication::SecretPost(crate::crypto::Secret::new("hunter2")),
        secret_expires_at: None,
        document: false,
    };
    assert!(!format!("{client:?}").contains("hunter2"));
}
