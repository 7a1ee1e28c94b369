//! What a client's assertion must say (RFC 7523 section 3, OpenID Connect Core section 9), once its signature holds.

use serde_json::Value;
use thiserror::Error;

use super::ClientId;
use crate::crypto::{SignedJwt, date, text};

/// The one kind of client assertion that we know (RFC 7523 section 2.2).
pub const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// Which use of an assertion this is; each may be made once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AssertionUse {
    /// The assertion's name, which its client never gives twice.
    pub jti: String,
    /// When it ends, in seconds since the Unix epoch; its use is remembered until then.
    pub expires_at: i64,
}

/// Why an assertion does not prove which client sent it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum AssertionError {
    /// A JWT for something else, such as an access token.
    #[error("its `typ` is that of another kind of token")]
    Kind,
    /// `iss` and `sub` are not both the client.
    #[error("its `iss` and `sub` are not the client id")]
    Client,
    /// Made for another authorization server too, which could then use it here.
    #[error("its `aud` is not this authorization server alone")]
    Audience,
    /// Past its end, without one, or with one too far away.
    #[error("its `exp` has passed, is missing, or lies more than an hour ahead")]
    Expiry,
    /// Made in the future.
    #[error("its `iat` or `nbf` lies in the future")]
    NotYetValid,
    /// Without a name, so that a replay could not be seen.
    #[error("its `jti` is missing, empty or too long")]
    Jti,
}

/// Checks the claims of an assertion that `client` signed, at `now` in seconds since the Unix epoch.
///
/// `audiences` are the names of this authorization server; an assertion for several of them is fine, one that is for
/// somebody else as well is not (RFC 8725 section 3.9).
pub fn check(
    signed: &SignedJwt,
    client: &ClientId,
    audiences: &[String],
    now: i64,
) -> Result<AssertionUse, AssertionError> {
    if !signed.typ.as_deref().is_none_or(|kind| KINDS.iter().any(|known| known.eq_ignore_ascii_case(kind))) {
        return Err(AssertionError::Kind);
    }
    if text(&signed.claims, "iss") != Some(client.as_str()) || text(&signed.claims, "sub") != Some(client.as_str()) {
        return Err(AssertionError::Client);
    }
    let is_ours = |audience: &Value| audience.as_str().is_some_and(|one| audiences.iter().any(|ours| ours == one));
    match signed.claims.get("aud") {
        Some(Value::Array(all)) if !all.is_empty() && all.iter().all(is_ours) => {}
        Some(one) if is_ours(one) => {}
        _ => return Err(AssertionError::Audience),
    }
    let expires_at = date(&signed.claims, "exp").ok_or(AssertionError::Expiry)?.saturating_add(SKEW_SECONDS);
    if now >= expires_at || expires_at.saturating_sub(now) > MAX_LIFETIME_SECONDS + SKEW_SECONDS {
        return Err(AssertionError::Expiry);
    }
    let begun = |name| match signed.claims.get(name) {
        None => true,
        Some(_) => date(&signed.claims, name).is_some_and(|moment| moment <= now.saturating_add(SKEW_SECONDS)),
    };
    if !begun("iat") || !begun("nbf") {
        return Err(AssertionError::NotYetValid);
    }
    let jti = text(&signed.claims, "jti").filter(|jti| !jti.is_empty() && jti.len() <= MAX_JTI);
    Ok(AssertionUse { jti: jti.ok_or(AssertionError::Jti)?.to_owned(), expires_at })
}

/// `typ` of a client assertion; the second is that of the draft that updates RFC 7523.
const KINDS: [&str; 2] = ["JWT", "client-authentication+jwt"];
const SKEW_SECONDS: i64 = 30;
const MAX_LIFETIME_SECONDS: i64 = 3600;
const MAX_JTI: usize = 512;

#[cfg(test)]
mod tests {
    use jsonwebtoken::Algorithm;
    use serde_json::json;

    use super::*;

    const NOW: i64 = 1_800_000_000;
    const CLIENT: &str = "https://client.example/c";

    fn outcome(typ: Option<&str>, changes: Value) -> Result<AssertionUse, AssertionError> {
        let mut claims = json!({
            "iss": CLIENT, "sub": CLIENT, "aud": "https://gw.example/oauth/token", "exp": NOW + 60, "iat": NOW, "jti": "1",
        });
        for (name, value) in changes.as_object().unwrap() {
            match value {
                Value::Null => drop(claims.as_object_mut().unwrap().remove(name)),
                value => claims[name] = value.clone(),
            }
        }
        let Value::Object(claims) = claims else { unreachable!() };
        let signed = SignedJwt { typ: typ.map(ToOwned::to_owned), algorithm: Algorithm::ES256, claims };
        let ours = ["https://gw.example", "https://gw.example/mcp/a", "https://gw.example/oauth/token"];
        check(&signed, &ClientId::new(CLIENT), &ours.map(ToOwned::to_owned), NOW)
    }

    #[test]
    fn an_assertion_for_any_of_our_names_proves_its_client() {
        for aud in [
            json!("https://gw.example"),
            json!("https://gw.example/mcp/a"),
            json!(["https://gw.example/oauth/token"]),
            json!(["https://gw.example", "https://gw.example/oauth/token"]),
        ] {
            let used = outcome(Some("JWT"), json!({"aud": aud})).unwrap();
            assert_eq!(used, AssertionUse { jti: "1".to_owned(), expires_at: NOW + 90 });
        }
        assert!(outcome(None, json!({})).is_ok());
        assert!(outcome(Some("client-authentication+jwt"), json!({"iat": null})).is_ok());
    }

    /// RFC 7523 section 3, claim by claim.
    #[test]
    fn an_assertion_of_or_for_somebody_else_or_another_time_is_refused() {
        use AssertionError as Error;
        for (changes, expected) in [
            (json!({"iss": "https://other.example/c"}), Error::Client),
            (json!({"sub": "https://other.example/c"}), Error::Client),
            (json!({"sub": null}), Error::Client),
            (json!({"iss": null}), Error::Client),
            (json!({"aud": null}), Error::Audience),
            (json!({"aud": []}), Error::Audience),
            (json!({"aud": "https://gw.example/"}), Error::Audience),
            (json!({"aud": "https://evil.example"}), Error::Audience),
            (json!({"aud": ["https://gw.example", "https://evil.example"]}), Error::Audience),
            (json!({"aud": {"x": "https://gw.example"}}), Error::Audience),
            (json!({"exp": null}), Error::Expiry),
            (json!({"exp": NOW - 30}), Error::Expiry),
            (json!({"exp": NOW + 3601}), Error::Expiry),
            (json!({"exp": "tomorrow"}), Error::Expiry),
            (json!({"exp": 1e300}), Error::Expiry),
            (json!({"iat": NOW + 31}), Error::NotYetValid),
            (json!({"nbf": NOW + 31}), Error::NotYetValid),
            (json!({"nbf": "soon"}), Error::NotYetValid),
            (json!({"jti": null}), Error::Jti),
            (json!({"jti": ""}), Error::Jti),
            (json!({"jti": 7}), Error::Jti),
            (json!({"jti": "x".repeat(513)}), Error::Jti),
        ] {
            assert_eq!(outcome(Some("JWT"), changes.clone()), Err(expected), "{changes}");
        }
    }

    /// RFC 8725 section 3.11: a token for another purpose is no client assertion.
    #[test]
    fn another_kind_of_token_is_no_client_assertion() {
        for kind in ["at+jwt", "oauth-id-jag+jwt", "dpop+jwt", "logout+jwt", ""] {
            assert_eq!(outcome(Some(kind), json!({})), Err(AssertionError::Kind), "{kind}");
        }
    }
}
