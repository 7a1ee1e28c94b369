//! Client ids that are URLs of metadata documents (OAuth Client ID Metadata Document, "Client Identifier").

use std::fmt;

use thiserror::Error;
use url::Url;

use super::ClientId;

/// A client id that is the URL of the client's metadata document.
///
/// It is compared as text, so only texts are accepted that every parser reads in the same way.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ClientIdUrl(Url);

/// Why a client id that looks like a URL cannot be that of a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum InvalidClientIdUrl {
    /// Above [`MAX_CLIENT_ID_BYTES`].
    #[error("longer than {MAX_CLIENT_ID_BYTES} bytes")]
    TooLong,
    /// Another scheme than `https`, or none.
    #[error("not an https URL")]
    NotHttps,
    /// Nothing behind the host.
    #[error("has no path")]
    NoPath,
    /// A user name or a password.
    #[error("has user information")]
    UserInfo,
    /// A fragment.
    #[error("has a fragment")]
    Fragment,
    /// A spelling that a parser would change: upper case in the host, a default port, dot segments, odd characters.
    #[error("is not spelled in the normal way")]
    Spelling,
}

impl ClientIdUrl {
    /// Whether a client id claims to be a URL; ours never do.
    pub fn is_meant_by(id: &str) -> bool {
        id.get(..8).is_some_and(|start| start.eq_ignore_ascii_case("https://"))
    }

    /// Reads a client id that is meant to be a URL.
    ///
    /// A query is accepted, as the draft leaves to us: it stands in the text that is compared like everything else.
    pub fn parse(id: &str) -> Result<Self, InvalidClientIdUrl> {
        use InvalidClientIdUrl as Invalid;
        if id.len() > MAX_CLIENT_ID_BYTES {
            return Err(Invalid::TooLong);
        }
        let rest = id.strip_prefix("https://").ok_or(Invalid::NotHttps)?;
        if rest.contains('#') {
            return Err(Invalid::Fragment);
        }
        let authority = &rest[..rest.find(['/', '?']).unwrap_or(rest.len())];
        if authority.contains('@') {
            return Err(Invalid::UserInfo);
        }
        if !rest[authority.len()..].starts_with('/') {
            return Err(Invalid::NoPath);
        }
        let Ok(url) = Url::parse(id) else { return Err(Invalid::Spelling) };
        let dots = |segment: &str| matches!(segment.to_ascii_lowercase().replace("%2e", ".").as_str(), "." | "..");
        if url.as_str() != id || url.path().split('/').any(dots) {
            return Err(Invalid::Spelling);
        }
        Ok(Self(url))
    }

    /// Where the document is.
    pub const fn url(&self) -> &Url {
        &self.0
    }

    /// The host that stands for who the client is, with its port unless that is the usual one.
    pub fn host(&self) -> String {
        let host = self.0.host_str().unwrap_or_default();
        self.0.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
    }

    /// The client id as it travels.
    pub fn client_id(&self) -> ClientId {
        ClientId::new(self.0.as_str())
    }
}

impl fmt::Display for ClientIdUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_str())
    }
}

/// How long such a client id may be.
pub const MAX_CLIENT_ID_BYTES: usize = 2048;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Those of Claude Code, VS Code, Copilot CLI and ChatGPT.
    #[test]
    fn the_client_ids_of_known_clients_are_urls() {
        for (id, host) in [
            ("https://claude.ai/oauth/claude-code-client-metadata", "claude.ai"),
            ("https://vscode.dev/oauth/client-metadata.json", "vscode.dev"),
            ("https://github.com/copilot/cli/client-metadata.json", "github.com"),
            ("https://chatgpt.com/oauth/kDmjx77UnKOM/client.json", "chatgpt.com"),
            ("https://client.example:8443/c?v=1", "client.example:8443"),
            ("https://client.example/", "client.example"),
        ] {
            assert!(ClientIdUrl::is_meant_by(id));
            let url = ClientIdUrl::parse(id).unwrap();
            assert_eq!((url.host().as_str(), url.to_string().as_str(), url.client_id().as_str()), (host, id, id));
        }
        assert!(!ClientIdUrl::is_meant_by("dcr:abc") && !ClientIdUrl::is_meant_by("http://a.example/c"));
    }

    /// AS-34: https, a path, no dot segments, no fragment, no user information; and one spelling only.
    #[test]
    fn what_could_be_read_in_two_ways_is_no_client_id() {
        use InvalidClientIdUrl as Invalid;
        for (id, expected) in [
            ("http://a.example/c", Invalid::NotHttps),
            ("HTTPS://a.example/c", Invalid::NotHttps),
            ("https:/a.example/c", Invalid::NotHttps),
            ("https://a.example", Invalid::NoPath),
            ("https://a.example?c", Invalid::NoPath),
            ("https:///c", Invalid::Spelling),
            ("https://a.example/c#f", Invalid::Fragment),
            ("https://u@a.example/c", Invalid::UserInfo),
            ("https://u:p@a.example/c", Invalid::UserInfo),
            ("https://A.example/c", Invalid::Spelling),
            ("https://a.example:443/c", Invalid::Spelling),
            ("https://a.example/b/../c", Invalid::Spelling),
            ("https://a.example/./c", Invalid::Spelling),
            ("https://a.example/%2e%2E/c", Invalid::Spelling),
            ("https://a.example\\c", Invalid::NoPath),
            ("https://a.example/b\\c", Invalid::Spelling),
            ("https://a.example/ c", Invalid::Spelling),
            ("https://\u{e4}.example/c", Invalid::Spelling),
            ("https://a.example/\u{e4}", Invalid::Spelling),
            ("https://0x7f.1/c", Invalid::Spelling),
            (&format!("https://a.example/{}", "x".repeat(MAX_CLIENT_ID_BYTES)), Invalid::TooLong),
        ] {
            assert_eq!(ClientIdUrl::parse(id), Err(expected), "{id}");
        }
    }

    proptest! {
        #[test]
        fn an_accepted_text_is_its_own_url(id in "https://[a-z.@:/?#%0-9A-Z\\\\ ]{0,30}") {
            if let Ok(url) = ClientIdUrl::parse(&id) {
                prop_assert_eq!(url.url().as_str(), id);
            }
        }
    }
}
