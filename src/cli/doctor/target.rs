//! The URL that the operator typed.

use url::Url;

/// Why a text is no URL to examine.
#[derive(Debug, thiserror::Error)]
pub enum TargetError {
    /// Not a URL at all.
    #[error("not a URL ({0}); give one such as http://127.0.0.1:8080/mcp/demo")]
    NotAUrl(#[from] url::ParseError),
    /// `localhost:8080` is a URL of the scheme `localhost`.
    #[error("the URL must begin with http:// or https://")]
    NotHttp,
    /// Clients compare URLs character by character, so nothing may be hidden in one.
    #[error("the URL must have no user, query or fragment")]
    Decorated,
}

/// Reads the URL of an MCP route, or of a gateway with a single route.
pub fn parse_target(text: &str) -> Result<Url, TargetError> {
    let url = Url::parse(text)?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(TargetError::NotHttp);
    }
    let is_decorated = url.query().is_some() || url.fragment().is_some() || !url.username().is_empty();
    if is_decorated || url.password().is_some() { Err(TargetError::Decorated) } else { Ok(url) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_http_urls_are_targets() {
        for good in ["http://127.0.0.1:8080", "https://gateway.example/mcp/linear"] {
            assert!(parse_target(good).is_ok(), "{good}");
        }
        assert!(matches!(parse_target("gateway.example"), Err(TargetError::NotAUrl(_))));
        assert!(matches!(parse_target("localhost:8080/mcp"), Err(TargetError::NotHttp)));
        for bad in ["http://h/mcp?x=1", "http://h/mcp#x", "http://ada@h/mcp", "http://:pw@h/mcp"] {
            assert!(matches!(parse_target(bad), Err(TargetError::Decorated)), "{bad}");
        }
    }
}
