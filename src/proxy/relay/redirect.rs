//! Redirects of an upstream that the operator allowed to follow: within the upstream's own origin, three at most.

use http::{HeaderValue, Method, StatusCode, Uri};
use url::Url;

use crate::proxy::failure::Failure;

/// The redirects followed for one request.
#[derive(Debug, Default)]
pub struct Redirects {
    followed: u8,
    location: Option<Uri>,
}

impl Redirects {
    /// The path and query where the last redirect led.
    pub const fn location(&self) -> Option<&Uri> {
        self.location.as_ref()
    }
}

/// Notes where a redirect leads, if it may be followed.
///
/// 307 and 308 keep method and body and are followed for all methods; the others may turn a POST into a GET and are
/// followed for GET and HEAD only (RFC 9110 section 15.4). Another origin would get the credential of this one.
pub fn follow(
    redirects: &mut Redirects,
    status: StatusCode,
    method: &Method,
    upstream: &Url,
    location: &HeaderValue,
) -> Result<(), Failure> {
    let refuse = Failure::UpstreamRedirect;
    let keeps_method = matches!(status, StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT);
    let safe = matches!(*method, Method::GET | Method::HEAD)
        && matches!(status, StatusCode::MOVED_PERMANENTLY | StatusCode::FOUND | StatusCode::SEE_OTHER);
    if !(keeps_method || safe) || redirects.followed >= LIMIT {
        return Err(refuse);
    }
    let mut base = upstream.clone();
    if let Some(last) = &redirects.location {
        base.set_path(last.path());
        base.set_query(last.query());
    }
    let next = location.to_str().ok().and_then(|text| base.join(text).ok()).ok_or(refuse)?;
    if next.origin() != upstream.origin() || !next.username().is_empty() || next.password().is_some() {
        return Err(refuse);
    }
    let text = next.query().map_or_else(|| next.path().to_owned(), |query| format!("{}?{query}", next.path()));
    redirects.location = Some(Uri::try_from(text).or(Err(refuse))?);
    redirects.followed += 1;
    Ok(())
}

const LIMIT: u8 = 3;

#[cfg(test)]
mod tests {
    use super::*;

    fn try_follow(status: u16, method: &Method, location: &'static str) -> Result<String, Failure> {
        let mut redirects = Redirects::default();
        follow(
            &mut redirects,
            StatusCode::from_u16(status).unwrap(),
            method,
            &Url::parse("https://up.example/mcp?a=1").unwrap(),
            &HeaderValue::from_static(location),
        )?;
        Ok(redirects.location().unwrap().to_string())
    }

    #[test]
    fn a_redirect_within_the_origin_is_followed() {
        assert_eq!(try_follow(307, &Method::POST, "/mcp/").unwrap(), "/mcp/");
        assert_eq!(try_follow(308, &Method::POST, "https://up.example:443/x?y=1#z").unwrap(), "/x?y=1");
        assert_eq!(try_follow(302, &Method::GET, "v2").unwrap(), "/v2");
    }

    #[test]
    fn another_origin_or_another_method_is_not() {
        for location in [
            "https://evil.example/mcp",
            "http://up.example/mcp",
            "//evil.example",
            "https://up.example:444/",
            "https://u@up.example/",
        ] {
            assert_eq!(try_follow(307, &Method::POST, location), Err(Failure::UpstreamRedirect), "{location}");
        }
        for status in [301, 302, 303, 300] {
            assert_eq!(try_follow(status, &Method::POST, "/x"), Err(Failure::UpstreamRedirect), "{status}");
        }
    }

    #[test]
    fn three_redirects_are_enough() {
        let mut redirects = Redirects::default();
        let mut go = || {
            let url = Url::parse("http://up.example/mcp").unwrap();
            let status = StatusCode::TEMPORARY_REDIRECT;
            follow(&mut redirects, status, &Method::POST, &url, &HeaderValue::from_static("/again"))
        };
        assert_eq!([go(), go(), go(), go()], [Ok(()), Ok(()), Ok(()), Err(Failure::UpstreamRedirect)]);
    }
}
