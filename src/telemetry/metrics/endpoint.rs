//! The gateway's own endpoints as a bounded set of names, whatever paths people try.

/// Every name that an endpoint has in metrics; the last one is everything else.
pub(super) const TEMPLATES: [&str; 16] = [
    "/.well-known/oauth-authorization-server",
    "/.well-known/openid-configuration",
    "/.well-known/oauth-protected-resource",
    "/.well-known/oauth-client/{connection}",
    "/oauth/register",
    "/oauth/authorize",
    "/oauth/callback",
    "/oauth/setup",
    "/oauth/token",
    "/oauth/revoke",
    "/oauth/dev-login",
    "/oauth/logout",
    "/auth/connections/{connection}",
    "/account",
    "/admin",
    "other",
];

/// The index of the name for a path, below whatever base path.
pub(super) fn template(path: &str) -> usize {
    let known = |template: &&str| {
        let prefix = template.split('{').next().unwrap_or_default().trim_end_matches('/');
        path.match_indices(prefix).any(|(at, _)| {
            let rest = &path[at + prefix.len()..];
            rest.is_empty() || rest.starts_with('/')
        })
    };
    TEMPLATES.iter().position(known).unwrap_or(TEMPLATES.len() - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_path_has_a_name_out_of_a_bounded_set() {
        for (path, name) in [
            ("/oauth/token", "/oauth/token"),
            ("/_gw/oauth/token", "/oauth/token"),
            ("/oauth/authorize/mcp/linear-v1", "/oauth/authorize"),
            ("/mcp/a/.well-known/openid-configuration", "/.well-known/openid-configuration"),
            ("/.well-known/oauth-protected-resource/mcp/a", "/.well-known/oauth-protected-resource"),
            ("/auth/connections/linear/connect", "/auth/connections/{connection}"),
            ("/", "other"),
            ("/oauth/tokens", "other"),
            ("/wp-admin.php", "other"),
        ] {
            assert_eq!(TEMPLATES[template(path)], name, "{path}");
        }
    }
}
