//! Which ID tokens are believed.

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use ring::{digest, hmac};
use serde_json::{Value, json};

use super::super::{
    Error, IdTokenError,
    fake_provider::{ACCESS_TOKEN, FakeProvider, SigningKey, encode},
};

async fn outcome(fake: &FakeProvider, token: &str) -> Result<(), IdTokenError> {
    match fake.finish(&fake.provider(), token).await {
        Ok(_) => Ok(()),
        Err(Error::IdToken(error)) => Err(error),
        Err(other) => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_person_is_known_by_every_accepted_algorithm() {
    for alg in ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA"] {
        let key = SigningKey::new(alg, "k1");
        let fake = FakeProvider::start(&[&key]).await;
        let person = fake.finish(&fake.provider(), &key.token(&fake.claims())).await;
        let person = person.unwrap_or_else(|error| panic!("{alg}: {error}"));
        assert_eq!((person.issuer, person.subject.as_str()), (fake.issuer.clone(), "ada-1"));
        assert_eq!((person.email.as_deref(), person.email_verified), (Some("ada@example.com"), Some(true)));
        assert_eq!((person.name.as_deref(), person.preferred_username.as_deref()), (Some("Ada"), Some("ada")));
        assert_eq!(person.claims["groups"], json!(["engineers"]));
        assert_eq!(person.refresh_token.unwrap().expose(), "refresh-1");
    }
}

/// OpenID Connect Core section 3.1.3.7, claim by claim.
#[tokio::test]
async fn a_token_of_another_login_client_issuer_or_time_is_refused() {
    let key = SigningKey::new("ES256", "k1");
    let fake = FakeProvider::start(&[&key]).await;
    let now = fake.clock.now().as_seconds();
    let at_hash = |hash: &'static digest::Algorithm| {
        let digest = digest::digest(hash, ACCESS_TOKEN.as_bytes());
        URL_SAFE_NO_PAD.encode(&digest.as_ref()[..digest.as_ref().len() / 2])
    };
    for (changes, expected) in [
        (json!({}), Ok(())),
        (json!({"nonce": "nonce-2"}), Err(IdTokenError::Nonce)),
        (json!({"nonce": null}), Err(IdTokenError::Nonce)),
        (json!({"nonce": ["nonce-1"]}), Err(IdTokenError::Nonce)),
        (json!({"aud": "other"}), Err(IdTokenError::Audience)),
        (json!({"aud": null}), Err(IdTokenError::Audience)),
        (json!({"aud": []}), Err(IdTokenError::Audience)),
        (json!({"aud": "gateway2"}), Err(IdTokenError::Audience)),
        (json!({"aud": ["gateway"]}), Ok(())),
        (json!({"aud": ["other", "gateway"]}), Err(IdTokenError::AuthorizedParty)),
        (json!({"aud": ["other", "gateway"], "azp": "gateway"}), Ok(())),
        (json!({"aud": ["other", "gateway"], "azp": "other"}), Err(IdTokenError::AuthorizedParty)),
        (json!({"azp": "other"}), Err(IdTokenError::AuthorizedParty)),
        (json!({"iss": "https://evil.example"}), Err(IdTokenError::Issuer)),
        (json!({"iss": format!("{}/", fake.issuer)}), Err(IdTokenError::Issuer)),
        (json!({"iss": null}), Err(IdTokenError::Issuer)),
        (json!({"exp": now - 61}), Err(IdTokenError::Expired)),
        (json!({"exp": now - 30}), Ok(())),
        (json!({"exp": null}), Err(IdTokenError::Expired)),
        (json!({"exp": "tomorrow"}), Err(IdTokenError::Expired)),
        (json!({"exp": 1e300}), Ok(())),
        (json!({"iat": now + 120}), Err(IdTokenError::NotYetValid)),
        (json!({"iat": now + 30}), Ok(())),
        (json!({"iat": null}), Err(IdTokenError::NotYetValid)),
        (json!({"nbf": now + 120}), Err(IdTokenError::NotYetValid)),
        (json!({"nbf": now}), Ok(())),
        (json!({"sub": null}), Err(IdTokenError::Subject)),
        (json!({"sub": ""}), Err(IdTokenError::Subject)),
        (json!({"sub": 7}), Err(IdTokenError::Subject)),
        (json!({"sub": "s".repeat(256)}), Err(IdTokenError::Subject)),
        (json!({"at_hash": at_hash(&digest::SHA256)}), Ok(())),
        (json!({"at_hash": at_hash(&digest::SHA512)}), Err(IdTokenError::AccessTokenHash)),
        (json!({"padding": "x".repeat(17_000)}), Err(IdTokenError::TooLarge)),
    ] {
        let token = key.token(&fake.claims_with(&changes));
        assert_eq!(outcome(&fake, &token).await, expected, "{changes:.100}");
    }
}

#[tokio::test]
async fn a_token_whose_claims_were_changed_after_signing_is_refused() {
    for alg in ["RS256", "PS256", "ES256", "EdDSA"] {
        let key = SigningKey::new(alg, "k1");
        let fake = FakeProvider::start(&[&key]).await;
        let token = key.token(&fake.claims());
        let (header, rest) = token.split_once('.').unwrap();
        let (_, signature) = rest.split_once('.').unwrap();
        let forged = encode(&fake.claims_with(&json!({"sub": "root"})));
        let forged = format!("{header}.{forged}.{signature}");
        assert_eq!(outcome(&fake, &forged).await, Err(IdTokenError::Signature), "{alg}");
        for signature in ["", "AAAA", "!!"] {
            let forged = format!("{}.{signature}", token.rsplit_once('.').unwrap().0);
            assert_eq!(outcome(&fake, &forged).await, Err(IdTokenError::Signature), "{alg} {signature}");
        }
    }
}

/// RFC 8725 section 2.1: `none`, and a public key taken for a shared secret.
#[tokio::test]
async fn a_token_without_a_key_pair_behind_it_is_refused() {
    let key = SigningKey::new("RS256", "k1");
    let fake = FakeProvider::start(&[&key]).await;
    let claims = encode(&fake.claims());
    for alg in ["none", "None", "NONE", "", "HS256", "HS384", "HS512", "ES512", "ES256K", "RSA1_5"] {
        let header = encode(&json!({"alg": alg, "kid": "k1"}));
        for signature in ["", "AAAA"] {
            let token = format!("{header}.{claims}.{signature}");
            assert_eq!(outcome(&fake, &token).await, Err(IdTokenError::Algorithm), "{alg}");
        }
    }
    let jwk = key.jwk();
    let modulus = URL_SAFE_NO_PAD.decode(jwk["n"].as_str().unwrap()).unwrap();
    let secrets = [jwk.to_string().into_bytes(), STANDARD.encode(&modulus).into_bytes(), modulus];
    for secret in secrets {
        let message = format!("{}.{claims}", encode(&json!({"alg": "HS256", "kid": "k1"})));
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &secret), message.as_bytes());
        let token = format!("{message}.{}", URL_SAFE_NO_PAD.encode(tag));
        assert_eq!(outcome(&fake, &token).await, Err(IdTokenError::Algorithm));
    }
}

#[tokio::test]
async fn a_shared_secret_in_the_key_set_verifies_nothing() {
    let fake = FakeProvider::start(&[]).await;
    fake.change(|script| {
        script.jwks.1 = json!({"keys": [{"kty": "oct", "k": "c2VjcmV0", "kid": "k1", "alg": "HS256"}]});
    });
    let message = format!("{}.{}", encode(&json!({"alg": "HS256", "kid": "k1"})), encode(&fake.claims()));
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, b"secret"), message.as_bytes());
    let token = format!("{message}.{}", URL_SAFE_NO_PAD.encode(tag));
    assert_eq!(outcome(&fake, &token).await, Err(IdTokenError::Algorithm));
}

/// RFC 8725 section 3.10: keys in the header are the forger's.
#[tokio::test]
async fn a_key_that_the_token_brings_along_is_not_used() {
    let (honest, forger) = (SigningKey::new("ES256", "k1"), SigningKey::new("ES256", "k1"));
    let fake = FakeProvider::start(&[&honest]).await;
    let jku = fake.server.url("/forged-jwks").to_string();
    for header in [
        json!({"alg": "ES256", "kid": "k1", "jwk": forger.jwk()}),
        json!({"alg": "ES256", "jwk": forger.jwk()}),
        json!({"alg": "ES256", "kid": "k1", "jku": jku}),
        json!({"alg": "ES256", "kid": "k1", "x5u": jku, "x5c": ["AAAA"]}),
    ] {
        let token = forger.token_with(&header, &fake.claims());
        assert_eq!(outcome(&fake, &token).await, Err(IdTokenError::Signature), "{header}");
    }
    assert_eq!(fake.server.count("/forged-jwks"), 0);
}

#[tokio::test]
async fn a_key_verifies_only_the_algorithm_and_the_use_it_is_published_for() {
    let key = SigningKey::new("RS256", "k1");
    let fake = FakeProvider::start(&[&key]).await;
    let token = key.token(&fake.claims());
    let with = |changes: Value| {
        let mut jwk = key.jwk();
        for (name, value) in changes.as_object().unwrap() {
            jwk[name] = value.clone();
        }
        jwk
    };
    for (jwk, expected) in [
        (key.jwk(), Ok(())),
        (with(json!({"alg": "RS512"})), Err(IdTokenError::UnknownKey)),
        (with(json!({"alg": "RSA-OAEP"})), Err(IdTokenError::UnknownKey)),
        (with(json!({"use": "enc"})), Err(IdTokenError::UnknownKey)),
        (with(json!({"key_ops": ["encrypt"]})), Err(IdTokenError::UnknownKey)),
        (with(json!({"key_ops": ["verify"]})), Ok(())),
        (with(json!({"kid": "k2"})), Err(IdTokenError::UnknownKey)),
        (SigningKey::new("ES256", "k1").jwk(), Err(IdTokenError::UnknownKey)),
    ] {
        fake.change(|script| script.jwks.1 = json!({"keys": [{"kty": "new", "kid": "k1"}, "junk", {}, jwk]}));
        assert_eq!(outcome(&fake, &token).await, expected, "{jwk:.60}");
    }
}

#[tokio::test]
async fn without_a_kid_every_fitting_key_is_tried() {
    let (mut one, mut two) = (SigningKey::new("ES256", "k1"), SigningKey::new("ES256", "k2"));
    let stranger = SigningKey::new("ES256", "k3");
    let fake = FakeProvider::start(&[&one, &two]).await;
    one.kid = None;
    two.kid = None;
    assert_eq!(outcome(&fake, &two.token(&fake.claims())).await, Ok(()));
    let header = json!({"alg": "ES256"});
    let forged = stranger.token_with(&header, &fake.claims());
    assert_eq!(outcome(&fake, &forged).await, Err(IdTokenError::Signature));
}

#[tokio::test]
async fn what_is_no_signed_jwt_is_refused() {
    let key = SigningKey::new("ES256", "k1");
    let fake = FakeProvider::start(&[&key]).await;
    let header = encode(&json!({"alg": "ES256", "kid": "k1"}));
    let not_an_object = key.token(&json!(["sub", "ada"]));
    for token in ["", "a", "a.b", "..", "a.b.c", "a.b.c.d.e", &format!("{header}.e30"), not_an_object.as_str()] {
        let outcome = outcome(&fake, token).await;
        assert!(matches!(outcome, Err(IdTokenError::Malformed | IdTokenError::Signature)), "{token}: {outcome:?}");
    }
    let critical = key.token_with(&json!({"alg": "ES256", "kid": "k1", "crit": ["b64"], "b64": false}), &fake.claims());
    assert_eq!(outcome(&fake, &critical).await, Err(IdTokenError::Critical));
}

#[tokio::test]
async fn email_verified_is_understood_as_text_too() {
    let key = SigningKey::new("ES256", "k1");
    let fake = FakeProvider::start(&[&key]).await;
    for (claim, expected) in
        [(json!("true"), Some(true)), (json!("false"), Some(false)), (json!(1), None), (json!(null), None)]
    {
        let token = key.token(&fake.claims_with(&json!({"email_verified": claim})));
        assert_eq!(fake.finish(&fake.provider(), &token).await.unwrap().email_verified, expected);
    }
}

#[tokio::test]
async fn claims_and_tokens_are_absent_from_debug_output() {
    let key = SigningKey::new("ES256", "k1");
    let fake = FakeProvider::start(&[&key]).await;
    let person = fake.finish(&fake.provider(), &key.token(&fake.claims())).await.unwrap();
    let printed = format!("{person:?}");
    assert!(!printed.contains("ada") && !printed.contains("refresh-1"), "{printed}");
}
