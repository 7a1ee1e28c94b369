use jsonwebtoken::{Algorithm, DecodingKey};
use serde_json::{Value, json};

use super::fake::{Fake, authorization_client, on_loopback, settings};
use crate::{
    crypto::{Secret, jwt},
    upstream::{
        ClientAuthentication,
        authorization::{AuthorizationClient, RegisteredClient, Registrant, RegistrationError, TokenError, TokenKind},
    },
};

fn signing() -> RegisteredClient {
    RegisteredClient {
        client_id: "client:1".to_owned(),
        authentication: ClientAuthentication::PrivateKeyJwt,
        secret_expires_at: None,
        document: false,
    }
}

/// The claims of an assertion that the published key verifies.
async fn claims(authorization: &AuthorizationClient, assertion: &str) -> Value {
    use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
    let jwk = authorization.signing_key().await.unwrap().public_jwk().unwrap();
    let key = DecodingKey::from_jwk(&serde_json::from_value(jwk).unwrap()).unwrap();
    let (message, signature) = assertion.rsplit_once('.').unwrap();
    assert!(jwt::verify(Algorithm::ES256, &key, message.as_bytes(), signature).unwrap());
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(message.split('.').nth(1).unwrap()).unwrap()).unwrap()
}

/// RFC 7523 section 3; its successor wants the issuer as the audience, Entra and Okta the token endpoint.
#[tokio::test]
async fn an_assertion_is_for_the_issuer_and_then_for_the_token_endpoint_and_never_the_same_twice() {
    let fake = Fake::start().await;
    fake.tell("/token", 401, &[("Content-Type", "application/json")], r#"{"error": "invalid_client"}"#);
    let (authorization, settings) = (authorization_client(&["127.0.0.0/8"]), settings());
    let server = on_loopback().discover(&fake.mcp(), &settings, None).await.unwrap();
    let refused = authorization.refresh(&server, &signing(), "refresh-0", &settings).await;
    assert!(matches!(refused, Err(TokenError::ClientRejected { .. })));
    let asked: Vec<_> = fake.seen().into_iter().filter(|request| request.path() == "/token").collect();
    let mut seen = Vec::new();
    for request in &asked {
        assert_eq!(request.form("client_id").as_deref(), Some("client:1"));
        assert_eq!(request.form("client_secret"), None);
        assert_eq!(request.header("authorization"), None);
        let kind = request.form("client_assertion_type").unwrap();
        assert_eq!(kind, "urn:ietf:params:oauth:client-assertion-type:jwt-bearer");
        let claims = claims(&authorization, &request.form("client_assertion").unwrap()).await;
        assert_eq!((&claims["iss"], &claims["sub"]), (&json!("client:1"), &json!("client:1")));
        assert_eq!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(), 60);
        seen.push((claims["aud"].clone(), claims["jti"].clone()));
    }
    let audiences: Vec<_> = seen.iter().map(|(audience, _)| audience.clone()).collect();
    assert_eq!(audiences, [json!(fake.origin()), json!(fake.url("/token"))]);
    assert_ne!(seen[0].1, seen[1].1);
}

/// A false revocation endpoint gets nothing that it could use at the token endpoint.
#[tokio::test]
async fn an_assertion_for_a_revocation_is_for_the_issuer() {
    let fake = Fake::start().await;
    let (authorization, settings) = (authorization_client(&["127.0.0.0/8"]), settings());
    let server = on_loopback().discover(&fake.mcp(), &settings, None).await.unwrap();
    authorization.revoke(&server, &signing(), &Secret::new("t"), TokenKind::Refresh).await.unwrap();
    let claims = claims(&authorization, &fake.last("/revoke").form("client_assertion").unwrap()).await;
    assert_eq!(claims["aud"], fake.origin());
}

#[tokio::test]
async fn a_server_that_takes_nothing_but_signatures_gets_our_public_key_at_registration() {
    let fake = Fake::start().await;
    fake.with_metadata(&json!({"token_endpoint_auth_methods_supported": ["tls_client_auth", "private_key_jwt"]}));
    let authorization = authorization_client(&["127.0.0.0/8"]);
    let server = on_loopback().discover(&fake.mcp(), &settings(), None).await.unwrap();
    let registrant =
        Registrant { redirect_uri: "https://gw.example/cb", client_name: "Sallyport", client_uri: None, scope: None };
    let client = authorization.register(&server, &registrant).await.unwrap();
    assert!(matches!(client.authentication, ClientAuthentication::PrivateKeyJwt));
    let sent: Value = serde_json::from_str(&fake.last("/register").body).unwrap();
    assert_eq!(sent["token_endpoint_auth_method"], "private_key_jwt");
    assert_eq!(sent["jwks"], json!({"keys": [authorization.signing_key().await.unwrap().public_jwk().unwrap()]}));
    assert!(!sent.to_string().contains("\"d\""), "no private member");

    fake.with_metadata(&json!({
        "token_endpoint_auth_methods_supported": ["private_key_jwt"],
        "token_endpoint_auth_signing_alg_values_supported": ["RS256"],
    }));
    let server = on_loopback().discover(&fake.mcp(), &settings(), None).await.unwrap();
    let refused = authorization.register(&server, &registrant).await;
    assert!(matches!(refused, Err(RegistrationError::NoMethod { .. })));
}
