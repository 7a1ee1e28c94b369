use super::fake::{Fake, authorization_client, on_loopback, settings};
use crate::{
    crypto::{Secret, random_token},
    oauth::Params,
    upstream::authorization::{
        AuthorizationRequest, CodeExchange, Registrant, Revocation, TokenError, TokenKind, authorization_url,
        check_callback,
    },
};

const REDIRECT_URI: &str = "https://gw.example/auth/connections/a/callback";

#[tokio::test]
async fn a_connection_is_made_refreshed_and_revoked() {
    let fake = Fake::start().await;
    let (authorization, settings) = (authorization_client(&["127.0.0.0/8"]), settings());
    let server = on_loopback().discover(&fake.mcp(), &settings, None).await.unwrap();
    let registrant = Registrant { redirect_uri: REDIRECT_URI, client_name: "Sallyport", client_uri: None, scope: None };
    let us = authorization.register(&server, &registrant).await.unwrap();

    let (state, verifier) = (Secret::new(random_token("")), Secret::new(random_token("")));
    let request = AuthorizationRequest {
        client_id: &us.client_id,
        redirect_uri: REDIRECT_URI,
        state: &state,
        code_verifier: &verifier,
        extra_scope: "",
    };
    let code = fake.allow(&authorization_url(&server, &settings, request).url);
    let answer = format!("code={code}&state={}&iss={}", state.expose(), fake.origin());
    let code = check_callback(&server, &Params::parse(answer.as_bytes()).unwrap()).unwrap();

    let exchange = CodeExchange { code: &code, redirect_uri: REDIRECT_URI, code_verifier: &verifier };
    let first = authorization.exchange_code(&server, &us, exchange, &settings).await.unwrap();
    let replayed = authorization.exchange_code(&server, &us, exchange, &settings).await;
    assert!(matches!(replayed, Err(TokenError::Ended { .. })));

    let old = first.refresh_token.unwrap();
    let second = authorization.refresh(&server, &us, old.expose(), &settings).await.unwrap();
    let rotated = second.refresh_token.unwrap();
    assert!(rotated != old && second.access_token != first.access_token);
    assert_eq!(authorization.revoke(&server, &us, &rotated, TokenKind::Refresh).await.unwrap(), Revocation::Revoked);
    let ended = authorization.refresh(&server, &us, rotated.expose(), &settings).await;
    assert!(matches!(ended, Err(TokenError::Ended { .. })));
}

/// RFC 7636 section 4.6: a code that was injected from another flow does not fit this flow's verifier.
#[tokio::test]
async fn an_injected_code_yields_nothing() {
    let fake = Fake::start().await;
    let (authorization, settings) = (authorization_client(&["127.0.0.0/8"]), settings());
    let server = on_loopback().discover(&fake.mcp(), &settings, None).await.unwrap();
    let registrant = Registrant { redirect_uri: REDIRECT_URI, client_name: "Sallyport", client_uri: None, scope: None };
    let us = authorization.register(&server, &registrant).await.unwrap();
    let (state, attackers) = (Secret::new("s"), Secret::new(random_token("")));
    let request = AuthorizationRequest {
        client_id: &us.client_id,
        redirect_uri: REDIRECT_URI,
        state: &state,
        code_verifier: &attackers,
        extra_scope: "",
    };
    let code = Secret::new(fake.allow(&authorization_url(&server, &settings, request).url));
    let victims = Secret::new(random_token(""));
    let exchange = CodeExchange { code: &code, redirect_uri: REDIRECT_URI, code_verifier: &victims };
    assert!(matches!(
        authorization.exchange_code(&server, &us, exchange, &settings).await,
        Err(TokenError::Ended { .. })
    ));
}
