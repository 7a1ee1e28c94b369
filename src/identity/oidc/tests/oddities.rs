//! What providers do otherwise than OpenID Connect would have it, each with a fake shaped like the real one.

use serde_json::{Value, json};

use super::super::{
    Dialect, Error, IdTokenError, IdentityClaims, Pkce, Provider,
    fake_provider::{ACCESS_TOKEN, CLIENT_ID, FakeProvider, SigningKey, finish},
};

/// OpenID Connect Core section 5.4. Okta's "thin" ID token has name and user name, neither e-mail nor groups.
#[tokio::test]
async fn claims_that_are_kept_out_of_the_id_token_are_fetched() {
    let key = SigningKey::new("RS256", "k1");
    let fake = FakeProvider::start(&[&key]).await;
    let thin = json!({"email": null, "email_verified": null, "groups": null});
    fake.change(|script| {
        script.discovery["userinfo_endpoint"] = format!("{}/userinfo", fake.issuer).into();
        script.userinfo = (
            200,
            json!({
                "sub": "ada-1", "email": "ada@example.com", "email_verified": true, "groups": ["engineers"],
                "name": "Somebody Else", "iss": "https://evil.example",
            }),
        );
    });
    let token = key.token(&fake.claims_with(&thin));
    let ada = fake.finish(&fake.provider(), &token).await.unwrap();
    assert_eq!(ada.email.as_deref(), Some("ada@example.com"));
    assert_eq!(ada.claims["groups"], json!(["engineers"]));
    // What was signed stays as it was signed.
    assert_eq!(ada.name.as_deref(), Some("Ada"));
    assert_eq!(ada.claims["iss"], json!(fake.issuer));
    assert_eq!(fake.server.count("/userinfo"), 1);
}

#[tokio::test]
async fn a_full_id_token_asks_nobody_else() {
    let key = SigningKey::new("RS256", "k1");
    let fake = FakeProvider::start(&[&key]).await;
    fake.change(|script| script.discovery["userinfo_endpoint"] = format!("{}/userinfo", fake.issuer).into());
    fake.finish(&fake.provider(), &key.token(&fake.claims())).await.unwrap();
    let without_email = fake.provider_with(|settings| settings.scope = "openid".to_owned());
    fake.finish(&without_email, &key.token(&fake.claims_with(&json!({"email": null})))).await.unwrap();
    assert_eq!(fake.server.count("/userinfo"), 0);
}

/// OpenID Connect Core section 5.3.2: claims of another subject must not be used.
#[tokio::test]
async fn claims_of_somebody_else_end_the_login() {
    let key = SigningKey::new("RS256", "k1");
    let fake = FakeProvider::start(&[&key]).await;
    fake.change(|script| script.discovery["userinfo_endpoint"] = format!("{}/userinfo", fake.issuer).into());
    let token = key.token(&fake.claims_with(&json!({"email": null})));
    for (status, body) in [
        (200, json!({"sub": "bob-1", "email": "bob@example.com"})),
        (200, json!({"email": "bob@example.com"})),
        (200, json!({"sub": "ada-1", "padding": "x".repeat(40_000)})),
    ] {
        fake.change(|script| script.userinfo = (status, body.clone()));
        let outcome = fake.finish(&fake.provider(), &token).await;
        assert!(matches!(outcome, Err(Error::UserInfoSubject | Error::UserInfoTooLarge)), "{outcome:?}");
    }
    fake.change(|script| script.userinfo = (503, Value::Null));
    let outcome = fake.finish(&fake.provider(), &token).await.unwrap_err();
    assert!(matches!(outcome, Error::UserInfo(_)), "{outcome:?}");
    assert_eq!(outcome.user_sentence(), "The sign-in service can't be reached at the moment.");
}

/// Auth0's default for web applications is `client_secret_post`; `OneLogin` lets the operator choose.
#[tokio::test]
async fn the_secret_goes_where_the_provider_accepts_it() {
    let key = SigningKey::new("RS256", "k1");
    for (refuses_in_header, requests) in [(true, [2, 3]), (false, [1, 2])] {
        let fake = FakeProvider::start(&[&key]).await;
        fake.change(|script| script.refuses_secret_in_header = Some(refuses_in_header));
        let provider = fake.provider();
        let token = key.token(&fake.claims());
        for expected in requests {
            fake.finish(&provider, &token).await.unwrap();
            assert_eq!(fake.server.count("/token"), expected, "where it was accepted is remembered");
        }
    }
}

#[tokio::test]
async fn a_wrong_secret_is_refused_after_both_ways() {
    let fake = FakeProvider::start(&[]).await;
    fake.change(|script| script.token = Some((401, json!({"error": "invalid_client"}).to_string())));
    let outcome = finish(&fake.provider()).await.unwrap_err();
    assert!(matches!(&outcome, Error::Refused { code, .. } if code == "invalid_client"), "{outcome:?}");
    assert_eq!(fake.server.count("/token"), 2);
    // Where discovery names one way there is no other, and a code that is refused is not sent again.
    fake.change(|script| script.discovery["token_endpoint_auth_methods_supported"] = json!(["client_secret_basic"]));
    finish(&fake.provider()).await.unwrap_err();
    assert_eq!(fake.server.count("/token"), 3);
    fake.change(|script| script.token = Some((400, json!({"error": "invalid_grant"}).to_string())));
    finish(&fake.provider()).await.unwrap_err();
    assert_eq!(fake.server.count("/token"), 4);
}

/// Google documents two spellings of its issuer.
#[tokio::test]
async fn a_known_spelling_of_the_issuer_is_the_same_person() {
    let key = SigningKey::new("RS256", "k1");
    let fake = FakeProvider::start(&[&key]).await;
    let google = fake.provider_with(|settings| settings.issuer_aliases = vec!["accounts.google.com".to_owned()]);
    let token = key.token(&fake.claims_with(&json!({"iss": "accounts.google.com"})));
    assert_eq!(fake.finish(&google, &token).await.unwrap().issuer, fake.issuer);
    let outcome = fake.finish(&fake.provider(), &token).await;
    assert!(matches!(outcome, Err(Error::IdToken(IdTokenError::Issuer))), "{outcome:?}");
}

struct WorkOs {
    fake: FakeProvider,
    key: SigningKey,
    provider: Provider,
}

impl WorkOs {
    async fn start() -> Self {
        let key = SigningKey::new("RS256", "sso_oidc_key_pair_1");
        let fake = FakeProvider::start(&[&key]).await;
        let endpoint = |name: &str| Some(format!("{}/{name}", fake.issuer).parse().unwrap());
        let provider = fake.provider_with(|settings| {
            settings.dialect = Dialect::WorkOs;
            settings.pkce = Pkce::S256;
            settings.issuer_aliases = vec!["https://api.workos.com".to_owned()];
            settings.endpoints.authorize = endpoint("user_management/authorize");
            settings.endpoints.token = endpoint("token");
            settings.endpoints.jwks = endpoint("jwks");
        });
        Self { fake, key, provider }
    }

    /// The claims of an access token as `WorkOS` documents them: no `aud`, no `nonce`.
    fn access_token(&self, changes: &Value) -> String {
        let now = self.fake.clock.now().as_seconds();
        let mut claims = json!({
            "iss": "https://api.workos.com", "sub": "user_01A", "sid": "session_01B", "jti": "01C",
            "org_id": "org_01D", "role": "member", "roles": ["member"], "permissions": ["posts:read"],
            "iat": now, "exp": now + 300,
        });
        for (name, value) in changes.as_object().unwrap() {
            claims[name] = value.clone();
        }
        self.key.token(&claims)
    }

    async fn finish(&self, access_token: &str) -> Result<IdentityClaims, Error> {
        let answer = json!({
            "user": {
                "object": "user", "id": "user_01A", "email": "ada@example.com", "email_verified": true,
                "first_name": "Ada", "last_name": "Lovelace", "profile_picture_url": null,
            },
            "organization_id": "org_01D",
            "access_token": access_token, "refresh_token": "refresh-1", "authentication_method": "SSO",
        });
        self.fake.change(|script| script.token = Some((200, answer.to_string())));
        finish(&self.provider).await
    }
}

#[tokio::test]
async fn workos_is_asked_by_its_own_api() {
    let workos = WorkOs::start().await;
    let begin = workos.provider.begin("https://gateway.example/oauth/callback", "state-1").await.unwrap();
    let query: Vec<_> = begin.url.query_pairs().map(|(name, value)| format!("{name}={value}")).collect();
    assert_eq!(begin.url.path(), "/user_management/authorize");
    for pair in ["provider=authkit", "response_type=code", "state=state-1", "code_challenge_method=S256"] {
        assert!(query.iter().any(|one| one == pair), "{pair} in {query:?}");
    }

    let ada = workos.finish(&workos.access_token(&json!({}))).await.unwrap();
    assert_eq!((ada.issuer.as_str(), ada.subject.as_str()), (workos.fake.issuer.as_str(), "user_01A"));
    assert_eq!((ada.email.as_deref(), ada.email_verified), (Some("ada@example.com"), Some(true)));
    assert_eq!(ada.name.as_deref(), Some("Ada Lovelace"));
    assert_eq!(ada.claims["roles"], json!(["member"]));

    let seen = workos.fake.server.seen();
    let asked = seen.iter().find(|request| request.path() == "/token").unwrap();
    assert_eq!(asked.header("content-type"), Some("application/json"));
    assert_eq!(asked.header("authorization"), None);
    let body: Value = serde_json::from_str(&asked.body).unwrap();
    assert_eq!(
        body,
        json!({
            "client_id": CLIENT_ID, "client_secret": "client-secret", "grant_type": "authorization_code",
            "code": "code-1", "code_verifier": "verifier-1",
        })
    );
}

#[tokio::test]
async fn a_workos_token_of_another_person_issuer_client_or_time_is_refused() {
    let workos = WorkOs::start().await;
    let now = workos.fake.clock.now().as_seconds();
    for (changes, expected) in [
        (json!({"sub": "user_01B"}), IdTokenError::Subject),
        (json!({"iss": "https://api.workos.com.evil.example"}), IdTokenError::Issuer),
        (json!({"client_id": "client_other"}), IdTokenError::Audience),
        (json!({"exp": now - 120}), IdTokenError::Expired),
        (json!({"iat": now + 120}), IdTokenError::NotYetValid),
    ] {
        let outcome = workos.finish(&workos.access_token(&changes)).await;
        assert!(matches!(&outcome, Err(Error::IdToken(error)) if *error == expected), "{changes} {outcome:?}");
    }
    let forged = SigningKey::new("ES256", "sso_oidc_key_pair_1").token(&json!({"sub": "user_01A"}));
    assert!(matches!(workos.finish(&forged).await, Err(Error::IdToken(IdTokenError::UnknownKey))));
    assert!(matches!(workos.finish(ACCESS_TOKEN).await, Err(Error::IdToken(IdTokenError::Malformed))));
}

#[tokio::test]
async fn a_refusal_of_workos_is_told_by_its_code() {
    let workos = WorkOs::start().await;
    for (status, body, expected) in [
        (400, json!({"error": "invalid_grant", "error_description": "used"}), Some("invalid_grant")),
        (
            403,
            json!({"code": "organization_selection_required", "message": "x"}),
            Some("organization_selection_required"),
        ),
        (401, json!({"message": "Unauthorized"}), None),
        (200, json!({"user": {"id": "user_01A"}}), None),
    ] {
        workos.fake.change(|script| script.token = Some((status, body.to_string())));
        match (finish(&workos.provider).await.unwrap_err(), expected) {
            (Error::Refused { code, .. }, Some(expected)) => assert_eq!(code, expected),
            (Error::NotATokenResponse { .. }, None) => {}
            (error, _) => panic!("{body}: {error:?}"),
        }
    }
}
