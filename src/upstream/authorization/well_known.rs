//! Where metadata documents are, and whom they are about.

use url::Url;

/// The protected resource metadata of an MCP endpoint (RFC 9728 section 3.1): path-inserted, then the root.
pub(super) fn protected_resource_urls(server_url: &Url) -> Vec<Url> {
    let root = with_path(server_url, "/.well-known/oauth-protected-resource");
    if server_url.path() == "/" && server_url.query().is_none() {
        return vec![root];
    }
    let path = server_url.path().trim_end_matches('/');
    let slash = if path.len() == server_url.path().len() || path.is_empty() { "" } else { "/" };
    let mut inserted = with_path(server_url, &format!("/.well-known/oauth-protected-resource{path}{slash}"));
    inserted.set_query(server_url.query());
    vec![inserted, root]
}

/// The metadata of an authorization server, in the order of the MCP specification.
///
/// For an issuer with a path the root document is another issuer's, so it is not asked for.
pub(super) fn authorization_server_urls(issuer: &Url) -> Vec<Url> {
    let path = issuer.path().trim_end_matches('/');
    let inserted = ["/.well-known/oauth-authorization-server", "/.well-known/openid-configuration"];
    let mut urls: Vec<_> = inserted.iter().map(|prefix| with_path(issuer, &format!("{prefix}{path}"))).collect();
    if !path.is_empty() {
        urls.push(with_path(issuer, &format!("{path}/.well-known/openid-configuration")));
    }
    urls
}

/// The issuer of an upstream without protected resource metadata, as revision 2025-03-26 has it: its origin.
pub(super) fn origin_issuer(server_url: &Url) -> String {
    server_url.origin().ascii_serialization()
}

/// Whether metadata of `announced` is about the MCP endpoint (RFC 9728 section 3.3).
///
/// A slash at the end and a default port make no difference. A resource that is broader than the endpoint, up to the
/// whole origin, is accepted, because many servers name themselves so; another origin never is.
pub(super) fn covers(announced: &str, server_url: &Url) -> bool {
    let Ok(resource) = Url::parse(announced) else { return false };
    let plain = resource.username().is_empty() && resource.password().is_none() && resource.fragment().is_none();
    let same_query = resource.query().is_none() || resource.query() == server_url.query();
    let path = resource.path().strip_suffix('/').unwrap_or(resource.path());
    let within = server_url.path().strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    plain && same_query && within && resource.has_host() && resource.origin() == server_url.origin()
}

/// Whether two spellings name the same resource: a slash at the end and a default port make no difference.
pub(super) fn same_resource(one: &str, other: &str) -> bool {
    let normal = |text: &str| {
        let text = Url::parse(text).map_or_else(|_| text.to_owned(), String::from);
        text.strip_suffix('/').map(str::to_owned).unwrap_or(text)
    };
    normal(one) == normal(other)
}

/// Whether the metadata of `announced` is that of `expected` (RFC 8414 section 3.3).
///
/// To the letter, but for one slash at the end: OIDC issuers such as Auth0's end in one, and resources forget it.
pub fn same_issuer(expected: &str, announced: &str) -> bool {
    let bare = |text| str::strip_suffix(text, "/").unwrap_or(text);
    bare(expected) == bare(announced)
}

/// The identifier of an upstream that announces none: its URL without query, fragment, and lone slash.
pub(super) fn default_resource(server_url: &Url) -> String {
    let mut url = server_url.clone();
    url.set_query(None);
    url.set_fragment(None);
    let text = String::from(url);
    if server_url.path() == "/" { text.trim_end_matches('/').to_owned() } else { text }
}

fn with_path(url: &Url, path: &str) -> Url {
    let mut url = url.clone();
    url.set_path(path);
    url.set_query(None);
    url.set_fragment(None);
    url
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        text.parse().unwrap()
    }

    fn texts(urls: Vec<Url>) -> Vec<String> {
        urls.into_iter().map(String::from).collect()
    }

    /// RFC 9728 section 3.1.
    #[test]
    fn resource_metadata_is_looked_for_at_the_path_and_then_at_the_root() {
        let root = "https://h.example/.well-known/oauth-protected-resource";
        for (server, inserted) in [
            ("https://h.example/mcp", Some("/mcp")),
            ("https://h.example/a/b", Some("/a/b")),
            // GitHub: the slash at the end is part of the resource.
            ("https://h.example/mcp/", Some("/mcp/")),
            ("https://h.example/mcp?project=a", Some("/mcp?project=a")),
            ("https://h.example/?project=a", Some("?project=a")),
            ("https://h.example", None),
            ("https://h.example/", None),
        ] {
            let expected: Vec<_> =
                inserted.map(|path| format!("{root}{path}")).into_iter().chain([root.to_owned()]).collect();
            assert_eq!(texts(protected_resource_urls(&url(server))), expected, "{server}");
        }
    }

    /// RFC 8414 sections 3.1 and 5, OpenID Connect Discovery section 4; MCP: CL-04, CL-05.
    #[test]
    fn server_metadata_is_looked_for_in_the_order_of_the_specification() {
        for issuer in ["https://h.example", "https://h.example/"] {
            assert_eq!(
                texts(authorization_server_urls(&url(issuer))),
                [
                    "https://h.example/.well-known/oauth-authorization-server",
                    "https://h.example/.well-known/openid-configuration"
                ]
            );
        }
        for issuer in ["https://h.example/login/oauth", "https://h.example/login/oauth/"] {
            assert_eq!(
                texts(authorization_server_urls(&url(issuer))),
                [
                    "https://h.example/.well-known/oauth-authorization-server/login/oauth",
                    "https://h.example/.well-known/openid-configuration/login/oauth",
                    "https://h.example/login/oauth/.well-known/openid-configuration"
                ]
            );
        }
    }

    /// RFC 9728 section 3.3, and quirks "Many: PRM `resource` broader than the URL, default port, another host".
    #[test]
    fn metadata_is_about_the_endpoint_or_what_it_lies_in() {
        let server = url("https://h.example/v1/mcp");
        for announced in [
            "https://h.example/v1/mcp",
            "https://h.example/v1/mcp/",
            "https://h.example:443/v1/mcp",
            "HTTPS://H.example/v1",
            "https://h.example/",
            "https://h.example",
        ] {
            assert!(covers(announced, &server), "{announced}");
        }
        for announced in [
            "",
            "/v1/mcp",
            "https://h.example/v1/mc",
            "https://h.example/v1/mcp/x",
            "https://h.example/v1/mcp//",
            "https://h.example/v1/mcp?a=b",
            "https://h.example/v1/mcp#f",
            "https://h.example/other/../v2",
            "http://h.example/v1/mcp",
            "https://h.example:8443/v1/mcp",
            "https://other.example/v1/mcp",
            "https://h.example.evil.example/v1/mcp",
            "https://h.example@evil.example/v1/mcp",
            "https://user@h.example/v1/mcp",
            "urn:h.example",
        ] {
            assert!(!covers(announced, &server), "{announced}");
        }
        assert!(covers("https://h.example/mcp?a=b", &url("https://h.example/mcp?a=b")));
        assert!(covers("https://h.example/mcp", &url("https://h.example/mcp/")));
    }

    /// RFC 8414 section 3.3; the slash: quirk "Auth0".
    #[test]
    fn issuers_are_equal_to_the_letter_but_for_one_slash() {
        assert!(same_issuer("https://t.auth0.example", "https://t.auth0.example/"));
        assert!(same_issuer("https://t.auth0.example/", "https://t.auth0.example"));
        for other in ["https://H.example", "https://h.example:443", "https://h.example//", "http://h.example", ""] {
            assert!(!same_issuer("https://h.example", other), "{other}");
        }
    }

    #[test]
    fn an_upstream_that_names_no_identifier_is_named_by_its_url() {
        for (server, resource) in [
            ("https://h.example/", "https://h.example"),
            ("https://h.example/mcp", "https://h.example/mcp"),
            ("https://h.example/mcp/?key=secret#x", "https://h.example/mcp/"),
        ] {
            assert_eq!(default_resource(&url(server)), resource);
        }
    }

    #[test]
    fn spellings_of_one_resource_are_the_same() {
        assert!(same_resource("https://h.example", "https://h.example:443/"));
        assert!(same_resource("api://1234", "api://1234"));
        assert!(!same_resource("api://1234", "api://12345"));
    }
}
