//! Scopes: the one that opens MCP routes, and what becomes of those that clients ask for.

use thiserror::Error;

/// The scope of every access token.
pub const TOOLS: &str = "mcp:tools";
/// The OpenID Connect scope by which clients ask for a refresh token; always acceptable.
pub const OFFLINE_ACCESS: &str = "offline_access";

/// Why a scope cannot be granted or registered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum InvalidScope {
    /// A character outside the syntax of RFC 6749 section 3.3.
    #[error("the scope has a character that scopes may not have")]
    Syntax,
    /// A registration that asks for scopes, none of which we know.
    #[error("none of the scopes is known")]
    OnlyUnknown,
}

/// The scope that is granted to who asks for `requested` (RFC 6749 section 3.3).
///
/// It always holds [`TOOLS`], and [`OFFLINE_ACCESS`] if that was asked for. Everything else is dropped, never refused,
/// because clients ask for whatever they find in any metadata document; the token response tells them what they got.
pub fn grant_scope(requested: Option<&str>) -> Result<String, InvalidScope> {
    let requested = requested.unwrap_or_default();
    check_syntax(requested)?;
    Ok(if contains(requested, OFFLINE_ACCESS) { format!("{TOOLS} {OFFLINE_ACCESS}") } else { TOOLS.to_owned() })
}

/// The scope that stands in a registration (RFC 7591 section 2); only one of unknown scopes alone is an error.
pub fn registration_scope(requested: Option<&str>) -> Result<String, InvalidScope> {
    let granted = grant_scope(requested)?;
    let mut scopes = requested.unwrap_or_default().split_ascii_whitespace().peekable();
    if scopes.peek().is_some() && scopes.all(|scope| !KNOWN.contains(&scope)) {
        return Err(InvalidScope::OnlyUnknown);
    }
    Ok(granted)
}

/// The scope of refreshed tokens (RFC 6749 section 6): what was granted, or the part of it that the client asks for.
pub fn refresh_scope(granted: &str, requested: Option<&str>) -> Result<String, InvalidScope> {
    match requested {
        Some(requested) if contains(granted, OFFLINE_ACCESS) => grant_scope(Some(requested)),
        Some(requested) => check_syntax(requested).map(|()| granted.to_owned()),
        None => Ok(granted.to_owned()),
    }
}

/// Whether the space-separated `scope` holds `wanted`; scopes are case-sensitive.
pub fn contains(scope: &str, wanted: &str) -> bool {
    scope.split(' ').any(|held| held == wanted)
}

/// `scope-token = 1*( %x21 / %x23-5B / %x5D-7E )`, separated by spaces.
fn check_syntax(scope: &str) -> Result<(), InvalidScope> {
    let allowed = |byte| matches!(byte, b' ' | 0x21 | 0x23..=0x5b | 0x5d..=0x7e);
    if scope.bytes().all(allowed) { Ok(()) } else { Err(InvalidScope::Syntax) }
}

/// What makes a registration's scope acceptable: ours, and those of OpenID Connect Core section 5.4, which clients send
/// out of habit.
const KNOWN: [&str; 7] = [TOOLS, OFFLINE_ACCESS, "openid", "profile", "email", "address", "phone"];

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_grant_always_holds_the_resource_scope_and_drops_what_is_unknown() {
        for (requested, granted) in [
            (None, "mcp:tools"),
            (Some(""), "mcp:tools"),
            (Some("mcp:tools"), "mcp:tools"),
            (Some("openid profile"), "mcp:tools"),
            (Some("read write api://x/.default"), "mcp:tools"),
            (Some("offline_access"), "mcp:tools offline_access"),
            (Some("offline_access  mcp:tools offline_access admin"), "mcp:tools offline_access"),
            (Some("OFFLINE_ACCESS MCP:TOOLS"), "mcp:tools"),
            (Some("offline_access_not"), "mcp:tools"),
        ] {
            assert_eq!(grant_scope(requested).as_deref(), Ok(granted), "{requested:?}");
        }
    }

    /// RFC 6749 section 3.3 and appendix A.4.
    #[test]
    fn characters_outside_the_syntax_are_refused() {
        for scope in ["a\tb", "a\nb", "a\"b", "a\\b", "\u{e4}", "a\u{0}"] {
            assert_eq!(grant_scope(Some(scope)), Err(InvalidScope::Syntax), "{scope:?}");
            assert_eq!(registration_scope(Some(scope)), Err(InvalidScope::Syntax), "{scope:?}");
            assert_eq!(refresh_scope(TOOLS, Some(scope)), Err(InvalidScope::Syntax), "{scope:?}");
        }
    }

    #[test]
    fn a_registration_of_unknown_scopes_alone_is_refused() {
        assert_eq!(registration_scope(Some("admin root")), Err(InvalidScope::OnlyUnknown));
        assert_eq!(registration_scope(Some("admin mcp:tools")).as_deref(), Ok("mcp:tools"));
        assert_eq!(registration_scope(Some("offline_access")).as_deref(), Ok("mcp:tools offline_access"));
        assert_eq!(registration_scope(Some("openid")).as_deref(), Ok("mcp:tools"));
        assert_eq!(registration_scope(Some(" ")).as_deref(), Ok("mcp:tools"));
        assert_eq!(registration_scope(None).as_deref(), Ok("mcp:tools"));
    }

    /// RFC 6749 section 6: the scope must not include any scope that was not granted.
    #[test]
    fn a_refresh_keeps_or_narrows_and_never_widens() {
        let both = "mcp:tools offline_access";
        assert_eq!(refresh_scope(both, None).as_deref(), Ok(both));
        assert_eq!(refresh_scope(both, Some("mcp:tools")).as_deref(), Ok("mcp:tools"));
        assert_eq!(refresh_scope(both, Some("offline_access x")).as_deref(), Ok(both));
        assert_eq!(refresh_scope("mcp:tools", Some(both)).as_deref(), Ok("mcp:tools"));
    }

    proptest! {
        #[test]
        fn what_is_granted_stays_the_same_when_asked_for_again(requested in "[ -~]{0,40}") {
            if let Ok(granted) = grant_scope(Some(&requested)) {
                prop_assert!(contains(&granted, TOOLS));
                prop_assert_eq!(grant_scope(Some(&granted)), Ok(granted.clone()));
            }
        }
    }
}
