//! The fixed headers of `authMode: header`.

use std::collections::BTreeMap;

use http::{HeaderName, HeaderValue};

use crate::config::at::{At, AtSecret};
use crate::config::check::Check;
use crate::config::file::AuthMode;
use crate::config::problem::{Fault, Place};

/// Checks the headers: required with the mode `header`, refused with any other.
pub fn check(at: &At<BTreeMap<String, AtSecret>>, mode: AuthMode, check: &mut Check) -> Vec<(HeaderName, HeaderValue)> {
    const NEEDS: &str = "the headers to send, such as {X-Api-Key: $env(API_KEY)}";
    if mode != AuthMode::Header {
        if !at.is_unset() {
            let (belongs_to, given) = ("authMode `header`".to_owned(), format!("authMode `{}`", mode.name()));
            check.report(&at.place, Fault::Misplaced { belongs_to, given });
        }
        return Vec::new();
    }
    check.require(at, NEEDS);
    if at.get().is_some_and(BTreeMap::is_empty) {
        check.report(&at.place, Fault::Missing { needs: NEEDS });
    }
    fixed(at, check)
}

/// Checks headers that are sent as they are.
pub fn fixed(at: &At<BTreeMap<String, AtSecret>>, check: &mut Check) -> Vec<(HeaderName, HeaderValue)> {
    let Some(headers) = at.get() else { return Vec::new() };
    let mut taken: Vec<(HeaderName, Place)> = Vec::new();
    let mut checked = Vec::new();
    for (name, value) in headers {
        let header = header(name, value, check);
        if let Some((name, _)) = &header {
            check.unique(&mut taken, name.clone(), &value.0.place, &format!("the header `{name}`"));
        }
        checked.extend(header);
    }
    checked
}

fn header(name: &str, value: &AtSecret, check: &mut Check) -> Option<(HeaderName, HeaderValue)> {
    let place = &value.0.place;
    let given = || format!("the header name {name:?}");
    let parsed = HeaderName::from_bytes(name.as_bytes()).ok();
    if parsed.is_none() {
        check.report(place, Fault::Invalid { given: given(), expected: "a header name of RFC 9110" });
    } else if parsed.as_ref().is_some_and(is_ours) {
        let expected = "a header that neither HTTP nor MCP sets itself (not hop-by-hop, Host, Content-Length or Mcp-*)";
        check.report(place, Fault::Invalid { given: given(), expected });
    }
    check.require(&value.0, "the header's value, as $env(NAME) or $file(path)");
    let secret = check.secret(value)?;
    let Ok(mut header) = HeaderValue::from_str(secret.expose()) else {
        check.report(
            place,
            Fault::InvalidSecret { expected: "a header value without line breaks and control characters" },
        );
        return None;
    };
    header.set_sensitive(true);
    parsed.map(|name| (name, header))
}

/// Headers of the connection (RFC 9110 section 7.6.1), of the message's frame, and of MCP.
pub(super) fn is_ours(name: &HeaderName) -> bool {
    const HOP_BY_HOP: [&str; 9] = [
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    ];
    let name = name.as_str();
    HOP_BY_HOP.contains(&name) || matches!(name, "host" | "content-length") || name.starts_with("mcp-")
}
