//! The cookies of one host, as a browser keeps them.

use http::{HeaderMap, HeaderValue, header};

/// A jar for one host; it forgets everything when it goes.
#[derive(Default)]
pub(super) struct Jar {
    cookies: Vec<Cookie>,
}

struct Cookie {
    name: String,
    value: String,
    path: String,
}

impl Jar {
    /// Takes over the cookies of an answer to a request for `request_path` (RFC 6265 section 5.3).
    pub(super) fn store(&mut self, request_path: &str, headers: &HeaderMap) {
        for line in headers.get_all(header::SET_COOKIE).iter().filter_map(|value| value.to_str().ok()) {
            let mut parts = line.split(';').map(str::trim);
            let Some((name, value)) = parts.next().and_then(|pair| pair.split_once('=')) else { continue };
            let (mut path, mut expired) = (default_path(request_path).to_owned(), false);
            for attribute in parts {
                let (key, value) = attribute.split_once('=').unwrap_or((attribute, ""));
                if key.eq_ignore_ascii_case("path") && value.starts_with('/') {
                    value.clone_into(&mut path);
                } else if key.eq_ignore_ascii_case("max-age") {
                    expired = value.parse::<i64>().is_ok_and(|seconds| seconds <= 0);
                }
            }
            self.cookies.retain(|cookie| cookie.name != name || cookie.path != path);
            if !expired {
                self.cookies.push(Cookie { name: name.to_owned(), value: value.to_owned(), path });
            }
        }
    }

    /// The `Cookie` header for a request to `path`; `None` where there is nothing to send.
    pub(super) fn header(&self, path: &str) -> Option<HeaderValue> {
        let sent: Vec<String> = self
            .cookies
            .iter()
            .filter(|cookie| path_matches(path, &cookie.path))
            .map(|cookie| format!("{}={}", cookie.name, cookie.value))
            .collect();
        let mut value = HeaderValue::from_str(&sent.join("; ")).ok().filter(|value| !value.is_empty())?;
        value.set_sensitive(true);
        Some(value)
    }
}

/// RFC 6265 section 5.1.4.
fn path_matches(request: &str, cookie: &str) -> bool {
    request.strip_prefix(cookie).is_some_and(|rest| rest.is_empty() || rest.starts_with('/') || cookie.ends_with('/'))
}

/// RFC 6265 section 5.1.4: the directory of the request.
fn default_path(request: &str) -> &str {
    match request.rfind('/') {
        None | Some(0) => "/",
        Some(at) => &request[..at],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn jar(lines: &[&'static str]) -> Jar {
        let mut jar = Jar::default();
        for line in lines {
            jar.store("/oauth/callback", &HeaderMap::from_iter([(header::SET_COOKIE, HeaderValue::from_static(line))]));
        }
        jar
    }

    fn sent(lines: &[&'static str], path: &str) -> String {
        jar(lines).header(path).map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default()
    }

    #[test]
    fn a_cookie_is_sent_below_its_path_only() {
        assert_eq!(sent(&["a=1; Path=/; HttpOnly", "b=2"], "/oauth/setup"), "a=1; b=2");
        assert_eq!(sent(&["a=1; Path=/oauth", "b=2"], "/oauthx"), "");
        assert_eq!(sent(&["a=1; Path=/oauth/"], "/oauth/setup"), "a=1");
        assert_eq!(sent(&["b=2"], "/mcp/sample"), "");
    }

    #[test]
    fn a_cookie_is_replaced_by_name_and_path_and_ends_with_its_age() {
        assert_eq!(sent(&["a=1; Path=/", "a=2; Path=/; Max-Age=60"], "/"), "a=2");
        assert_eq!(sent(&["a=1; Path=/", "a=; path=/; max-age=0"], "/"), "");
        assert_eq!(sent(&["a=1; Path=/", "a=; Path=/oauth; Max-Age=0"], "/"), "a=1");
    }
}
