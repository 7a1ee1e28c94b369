//! Which web pages may talk to an MCP route, and the CORS headers that let them (Fetch, section 3.2).

use http::{HeaderMap, HeaderValue, StatusCode, header};

use super::failure::Failure;
use crate::web::{Origin, Response};

/// The web origins that may call MCP routes besides our own and those on this very machine.
#[derive(Debug, Clone, Default)]
pub struct AllowedOrigins {
    /// Whether any web page may; the bearer token stays the only credential.
    pub any: bool,
    /// The ones that may, as browsers write them; also of schemes like `vscode-webview`, which no gateway is served at.
    pub listed: Vec<String>,
}

/// What to do about the `Origin` of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Caller {
    /// No browser, or none that says so.
    NotABrowser,
    /// A page that may read the answer; holds the `Origin` to name.
    Page(HeaderValue),
}

impl AllowedOrigins {
    /// Checks the `Origin` of a request that reached us at `own` (MCP: against DNS rebinding, 403 for any other page).
    pub fn check(&self, headers: &HeaderMap, own: &Origin) -> Result<Caller, Failure> {
        let mut values = headers.get_all(header::ORIGIN).iter();
        let Some(value) = values.next() else { return Ok(Caller::NotABrowser) };
        if values.next().is_some() {
            return Err(Failure::ForeignOrigin);
        }
        let allowed = self.any
            || value.to_str().is_ok_and(|text| {
                self.listed.iter().any(|listed| listed.eq_ignore_ascii_case(text))
                    || Origin::parse(text).is_some_and(|origin| origin == *own || origin.is_loopback())
            });
        if allowed { Ok(Caller::Page(value.clone())) } else { Err(Failure::ForeignOrigin) }
    }
}

impl Caller {
    /// The headers that let the page read an answer.
    pub fn headers(&self) -> impl Iterator<Item = (&'static str, HeaderValue)> + use<> {
        let origin = match self {
            Self::NotABrowser => None,
            Self::Page(origin) => Some(origin.clone()),
        };
        origin.into_iter().flat_map(|origin| {
            [
                ("Access-Control-Allow-Origin", origin),
                ("Access-Control-Expose-Headers", HeaderValue::from_static(EXPOSED)),
                ("Vary", HeaderValue::from_static("Origin")),
            ]
        })
    }
}

/// The answer to OPTIONS on an MCP route; a preflight gets leave for the headers that it names.
///
/// The names are repeated rather than listed, because `Mcp-Param-*` are not known beforehand and `*` never covers
/// `Authorization`.
pub fn preflight_response(request: &HeaderMap) -> Response {
    let response = Response::empty(StatusCode::NO_CONTENT).with(header::ALLOW, ROUTE_METHODS);
    if !request.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD) {
        return response;
    }
    let response =
        response.with(header::ACCESS_CONTROL_ALLOW_METHODS, ROUTE_METHODS).with(header::ACCESS_CONTROL_MAX_AGE, "7200");
    match request.get(header::ACCESS_CONTROL_REQUEST_HEADERS).and_then(|names| names.to_str().ok()) {
        Some(names) => response.with(header::ACCESS_CONTROL_ALLOW_HEADERS, names),
        None => response,
    }
}

/// The methods of an MCP route.
pub const ROUTE_METHODS: &str = "GET, POST, DELETE, OPTIONS";

const EXPOSED: &str = "WWW-Authenticate, Mcp-Session-Id, MCP-Protocol-Version, X-Request-Id, Retry-After";

#[cfg(test)]
mod tests {
    use super::*;

    fn check(allowed: &AllowedOrigins, origin: &'static str) -> Result<Caller, Failure> {
        let mut headers = HeaderMap::new();
        headers.insert(header::ORIGIN, HeaderValue::from_static(origin));
        allowed.check(&headers, &Origin::parse("https://gw.example.com").unwrap())
    }

    /// MCP Streamable HTTP, security warning: `Origin` is validated on every connection.
    #[test]
    fn our_own_loopback_and_listed_origins_may_and_no_other() {
        let allowed = AllowedOrigins {
            any: false,
            listed: vec!["https://app.example.com".to_owned(), "vscode-webview://abc-1".to_owned()],
        };
        for origin in [
            "https://gw.example.com",
            "http://localhost:6274",
            "http://127.0.0.1",
            "https://app.example.com",
            "vscode-webview://abc-1",
        ] {
            assert_eq!(check(&allowed, origin), Ok(Caller::Page(HeaderValue::from_static(origin))), "{origin}");
        }
        for origin in
            ["https://evil.example", "null", "http://gw.example.com", "https://gw.example.com.evil", "", "a b"]
        {
            assert_eq!(check(&allowed, origin), Err(Failure::ForeignOrigin), "{origin}");
        }
        assert_eq!(
            allowed.check(&HeaderMap::new(), &Origin::parse("https://gw.example.com").unwrap()),
            Ok(Caller::NotABrowser)
        );
    }

    #[test]
    fn any_origin_may_where_the_operator_says_so() {
        let any = AllowedOrigins { any: true, listed: vec![] };
        assert_eq!(check(&any, "null"), Ok(Caller::Page(HeaderValue::from_static("null"))));
    }
}
