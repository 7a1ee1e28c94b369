use std::time::Duration;

use serde_json::json;

use super::tokens::{kind, refreshed_json};
use crate::crypto::Secret;

/// Quirks "Many: `expires_in` missing, `0`, string, or malformed", "Keycloak-like: `refresh_expires_in: 0`".
#[tokio::test]
async fn a_lifetime_that_cannot_be_believed_is_unknown() {
    for (value, expected) in [
        (json!(3600), Some(3600)),
        (json!("3600"), Some(3600)),
        (json!(" 3600 "), Some(3600)),
        (json!(3599.9), Some(3599)),
        (json!("3600.0"), Some(3600)),
        (json!(1), Some(1)),
        (json!(315_360_000), Some(315_360_000)),
        (json!(null), None),
        (json!(0), None),
        (json!("0"), None),
        (json!(0.4), None),
        (json!(-1), None),
        (json!("-3600"), None),
        (json!("soon"), None),
        (json!("NaN"), None),
        (json!("inf"), None),
        (json!(""), None),
        (json!([3600]), None),
        (json!(true), None),
        // A date instead of a lifetime, milliseconds, and worse.
        (json!(1_790_000_000), None),
        (json!(u64::MAX), None),
        (json!(1e300), None),
    ] {
        let answer = json!({"access_token": "a", "expires_in": value, "refresh_expires_in": 0});
        let tokens = refreshed_json(200, answer).await.unwrap();
        assert_eq!(tokens.expires_in, expected.map(Duration::from_secs), "{value}");
    }
}

/// RFC 6749 sections 5.1 and 7.1.
#[tokio::test]
async fn a_token_is_a_bearer_token_unless_it_says_that_it_needs_a_proof() {
    for token_type in [json!(null), json!("bearer"), json!("Bearer"), json!("BEARER"), json!("user"), json!(7)] {
        let answer = json!({"access_token": "a", "token_type": token_type});
        assert_eq!(kind(&refreshed_json(200, answer).await), "tokens", "{token_type}");
    }
    for token_type in ["DPoP", "dpop", "mac", "PoP"] {
        assert_eq!(kind(&refreshed_json(200, json!({"access_token": "a", "token_type": token_type})).await), "type");
    }
}

/// A token stands in a header of every call: what could break out of it is no token.
#[tokio::test]
async fn a_token_that_does_not_fit_a_header_is_refused() {
    for token in ["a b", "a\r\nX-Admin: 1", "a\u{0}", "\u{e4}", &"x".repeat(16 * 1024 + 1)] {
        assert_eq!(kind(&refreshed_json(200, json!({"access_token": token})).await), "nothing");
        let tokens = refreshed_json(200, json!({"access_token": "a", "refresh_token": token})).await.unwrap();
        assert_eq!(tokens.refresh_token, Some(Secret::new("refresh-0")));
    }
}

/// Quirk "Entra: scopes echoed with `api://` prefix": what comes back is kept as it is.
#[tokio::test]
async fn the_granted_scope_is_kept_as_it_is_said() {
    for (scope, expected) in [
        (json!("api://1/read  api://1/write"), Some("api://1/read api://1/write")),
        (json!(["a", "b"]), Some("a b")),
        (json!("a,b"), Some("a,b")),
        (json!(""), None),
        (json!(null), None),
    ] {
        let tokens = refreshed_json(200, json!({"access_token": "a", "scope": scope})).await.unwrap();
        assert_eq!(tokens.scope.as_deref(), expected);
    }
}
