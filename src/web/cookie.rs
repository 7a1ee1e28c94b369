//! The two cookies that we set, and how they come back (RFC 6265).

use http::{HeaderMap, header};

/// A cookie of ours: host-only, `HttpOnly`, `SameSite=Lax`, and over https `Secure` with the `__Host-` prefix.
#[derive(Debug, Clone, Copy)]
pub struct Cookie<'a> {
    /// The name without prefix.
    pub name: &'a str,
    /// Whether the browser reaches us over https.
    pub secure: bool,
}

impl Cookie<'_> {
    /// The name with its prefix. The prefix keeps a sibling host from planting a cookie on us.
    pub fn full_name(&self) -> String {
        if self.secure { format!("__Host-{}", self.name) } else { self.name.to_owned() }
    }

    /// The `Set-Cookie` value that keeps `value` for `seconds`.
    pub fn set(&self, value: &str, seconds: u64) -> String {
        let secure = if self.secure { "; Secure" } else { "" };
        format!("{}={value}; Path=/; HttpOnly; SameSite=Lax; Max-Age={seconds}{secure}", self.full_name())
    }

    /// The `Set-Cookie` value that removes it.
    pub fn clear(&self) -> String {
        self.set("", 0)
    }
}

/// The value of our cookie, if the browser sent it exactly once.
///
/// Two of one name mean that somebody planted one; then none counts.
pub fn cookie<'h>(headers: &'h HeaderMap, cookie: &Cookie<'_>) -> Option<&'h str> {
    let name = cookie.full_name();
    let mut values = headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .filter(|(found, _)| *found == name)
        .map(|(_, value)| value);
    match (values.next(), values.next()) {
        (Some(value), None) if !value.is_empty() => Some(value),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn headers(lines: &[&'static str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(header::COOKIE, HeaderValue::from_static(line));
        }
        headers
    }

    #[test]
    fn over_https_a_cookie_is_secure_and_bound_to_the_host() {
        let set = Cookie { name: "s", secure: true }.set("v", 60);
        assert_eq!(set, "__Host-s=v; Path=/; HttpOnly; SameSite=Lax; Max-Age=60; Secure");
    }

    #[test]
    fn a_cookie_is_found_among_others() {
        let plain = Cookie { name: "s", secure: false };
        assert_eq!(cookie(&headers(&["a=1; s=2; b=3"]), &plain), Some("2"));
        assert_eq!(cookie(&headers(&["a=1", "s=2"]), &plain), Some("2"));
        assert_eq!(cookie(&headers(&["xs=1"]), &plain), None);
    }

    /// Cookie tossing: a sibling host sets a second cookie of our name.
    #[test]
    fn a_cookie_that_comes_twice_counts_as_none() {
        let plain = Cookie { name: "s", secure: false };
        assert_eq!(cookie(&headers(&["s=2; s=3"]), &plain), None);
        assert_eq!(cookie(&headers(&["s=2", "s=2"]), &plain), None);
    }

    #[test]
    fn over_https_the_unprefixed_name_is_not_read() {
        assert_eq!(cookie(&headers(&["s=2"]), &Cookie { name: "s", secure: true }), None);
    }
}
