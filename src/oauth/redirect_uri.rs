//! Which redirect URIs a client may register.

use std::net::{Ipv4Addr, Ipv6Addr};

use thiserror::Error;
use url::Url;

/// A redirect URI that may stand in a registration or in a client's metadata document.
///
/// It is kept as it was written, because later it is compared as text (RFC 3986 section 6.2.1). Therefore only texts
/// are accepted that every parser reads in the same way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegisteredRedirect {
    text: String,
    kind: RedirectKind,
}

/// Where a redirect goes, for the person who is asked to consent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RedirectKind {
    /// To a web site.
    Https {
        /// Its host name in lower case.
        host: String,
    },
    /// To a program on the person's own machine (RFC 8252 section 7.3); any program there can ask for it.
    Loopback,
    /// To the program that the person's machine opens for a scheme (RFC 8252 section 7.1).
    PrivateUse {
        /// The scheme in lower case.
        scheme: String,
    },
}

/// Why a redirect URI cannot be registered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum InvalidRedirectUri {
    /// Above [`MAX_REDIRECT_URI_BYTES`].
    #[error("longer than {MAX_REDIRECT_URI_BYTES} bytes")]
    TooLong,
    /// A character that RFC 3986 allows nowhere, or a `%` without two hexadecimal digits.
    #[error("contains a character that no URI may contain")]
    Character,
    /// No scheme: relative, or not a URI.
    #[error("not an absolute URI")]
    NotAbsolute,
    /// A fragment (RFC 6749 section 3.1.2).
    #[error("has a fragment")]
    Fragment,
    /// A scheme that runs code, opens files or speaks another network protocol.
    #[error("its scheme is not for redirects")]
    Scheme,
    /// `http` to a host that is not loopback.
    #[error("plain http is for loopback hosts only")]
    PlainHttp,
    /// A user name before the host, which makes the host look like another.
    #[error("has user information")]
    UserInfo,
    /// A host that is empty, has a wildcard, or is not spelled in the normal way.
    #[error("its host is not spelled in the normal way")]
    Host,
    /// A port that is empty, zero, above 65535, or has leading zeros.
    #[error("its port is not a number from 1 to 65535")]
    Port,
    /// A query that already has a parameter of the authorization response.
    #[error("its query has a parameter of the authorization response")]
    ReservedParameter,
}

impl RegisteredRedirect {
    /// Checks a redirect URI that a client wants to register.
    pub fn parse(text: &str) -> Result<Self, InvalidRedirectUri> {
        use InvalidRedirectUri as Invalid;
        if text.len() > MAX_REDIRECT_URI_BYTES {
            return Err(Invalid::TooLong);
        }
        check_characters(text)?;
        let (scheme, rest) = text.split_once(':').ok_or(Invalid::NotAbsolute)?;
        if !is_scheme(scheme) {
            return Err(Invalid::NotAbsolute);
        }
        if rest.contains('#') {
            return Err(Invalid::Fragment);
        }
        if has_response_parameter(rest) {
            return Err(Invalid::ReservedParameter);
        }
        let kind = match scheme {
            "https" => RedirectKind::Https { host: check_web_authority(text, rest)? },
            "http" if is_loopback(&check_web_authority(text, rest)?) => RedirectKind::Loopback,
            "http" => return Err(Invalid::PlainHttp),
            _ => RedirectKind::PrivateUse { scheme: check_private_use(text, scheme, rest)? },
        };
        Ok(Self { text: text.to_owned(), kind })
    }

    /// The URI as it was registered.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Where it leads.
    pub const fn kind(&self) -> &RedirectKind {
        &self.kind
    }

    /// The host and what follows the port, for loopback URIs; two of them mean the same if these are the same.
    pub(super) fn portless_loopback(&self) -> Option<(&str, &str)> {
        if self.kind != RedirectKind::Loopback {
            return None;
        }
        let (authority, rest) = split_authority(self.text.strip_prefix("http://")?);
        Some((split_port(authority).0, rest))
    }
}

/// Only characters of RFC 3986 section 2, so that no control character, space, backslash or look-alike letter gets in.
fn check_characters(text: &str) -> Result<(), InvalidRedirectUri> {
    let bytes = text.as_bytes();
    let allowed = bytes.iter().enumerate().all(|(index, byte)| match byte {
        b'%' => {
            matches!(bytes.get(index + 1..index + 3), Some([a, b]) if a.is_ascii_hexdigit() && b.is_ascii_hexdigit())
        }
        _ => byte.is_ascii_alphanumeric() || b"-._~:/?#[]@!$&'()*+,;=".contains(byte),
    });
    if allowed { Ok(()) } else { Err(InvalidRedirectUri::Character) }
}

/// RFC 3986 section 3.1.
fn is_scheme(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_alphabetic())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
}

fn has_response_parameter(rest: &str) -> bool {
    let query = rest.split_once('?').map_or("", |(_, query)| query);
    form_urlencoded::parse(query.as_bytes()).any(|(name, _)| RESPONSE_PARAMETERS.contains(&name.as_ref()))
}

/// Checks what follows `http:` or `https:` and gives the host in lower case.
fn check_web_authority(text: &str, rest: &str) -> Result<String, InvalidRedirectUri> {
    use InvalidRedirectUri as Invalid;
    let (authority, _) = split_authority(rest.strip_prefix("//").ok_or(Invalid::NotAbsolute)?);
    if authority.contains('@') {
        return Err(Invalid::UserInfo);
    }
    let (host, port) = split_port(authority);
    if port.is_some_and(|port| !is_port(port)) {
        return Err(Invalid::Port);
    }
    let host = host.to_ascii_lowercase();
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    let is_plain = host.starts_with('[') || host.bytes().all(is_plain);
    let url = Url::parse(text).ok();
    match url.as_ref().and_then(Url::host_str) {
        Some(normal) if is_plain && normal == host && !host.ends_with('.') => Ok(host),
        _ => Err(Invalid::Host),
    }
}

/// Checks a URI of a scheme that some program registered on the person's machine, and gives the scheme in lower case.
fn check_private_use(text: &str, scheme: &str, rest: &str) -> Result<String, InvalidRedirectUri> {
    use InvalidRedirectUri as Invalid;
    let scheme = scheme.to_ascii_lowercase();
    if REFUSED_SCHEMES.split(' ').any(|refused| refused == scheme) || scheme.starts_with("ms-") {
        return Err(Invalid::Scheme);
    }
    if let Some(hierarchical) = rest.strip_prefix("//") {
        let (authority, _) = split_authority(hierarchical);
        if authority.contains('@') {
            return Err(Invalid::UserInfo);
        }
        if authority.contains(['*', '%']) || Url::parse(text).is_err() {
            return Err(Invalid::Host);
        }
    }
    Ok(scheme)
}

/// Splits what follows `//` where the authority ends (RFC 3986 section 3.2).
fn split_authority(text: &str) -> (&str, &str) {
    text.split_at(text.find(['/', '?', '#']).unwrap_or(text.len()))
}

fn split_port(authority: &str) -> (&str, Option<&str>) {
    let after_address = authority.rfind(']').map_or(0, |bracket| bracket + 1);
    match authority[after_address..].find(':') {
        Some(colon) => (&authority[..after_address + colon], Some(&authority[after_address + colon + 1..])),
        None => (authority, None),
    }
}

fn is_port(text: &str) -> bool {
    !text.starts_with(['0', '+']) && text.parse::<u16>().is_ok()
}

fn is_loopback(host: &str) -> bool {
    let v6 = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    host == "localhost"
        || host.parse::<Ipv4Addr>().is_ok_and(|address| address.is_loopback())
        || v6.is_some_and(|host| host.parse::<Ipv6Addr>().is_ok_and(|address| address.is_loopback()))
}

/// How long a redirect URI may be.
pub const MAX_REDIRECT_URI_BYTES: usize = 2048;

/// What we append; each must stand in the response once (RFC 6749 section 3.1).
const RESPONSE_PARAMETERS: [&str; 6] = ["code", "state", "iss", "error", "error_description", "error_uri"];

/// Schemes that no client application owns: they run code, open files or settings, or belong to a network protocol.
const REFUSED_SCHEMES: &str = "\
    about acap afp android-app blob chrome chrome-extension chrome-search cid data dav dict dns edge facetime feed \
    file filesystem ftp ftps git gopher http https imap intent irc ircs itms-services jar javascript ldap ldaps \
    livescript localhost magnet mailto mhtml mid mk mocha moz-extension nfs nntp res resource rtsp sftp shell sip \
    sips smb sms ssh tel telnet urn vbscript view-source ws wss wyciwyg x-apple.systempreferences";

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn kind(text: &str) -> Result<RedirectKind, InvalidRedirectUri> {
        RegisteredRedirect::parse(text).map(|redirect| redirect.kind().clone())
    }

    #[test]
    fn redirect_uris_of_known_clients_can_be_registered() {
        let https = |host: &str| Ok(RedirectKind::Https { host: host.to_owned() });
        let private_use = |scheme: &str| Ok(RedirectKind::PrivateUse { scheme: scheme.to_owned() });
        for (text, expected) in [
            ("https://claude.ai/api/mcp/auth_callback", https("claude.ai")),
            ("https://chatgpt.com/connector/oauth/abc", https("chatgpt.com")),
            ("https://global.consent.azure-apim.net/redirect/x-5f", https("global.consent.azure-apim.net")),
            ("https://www.cursor.com/agents/mcp/oauth/callback", https("www.cursor.com")),
            ("https://A.Example:8443/cb?x=1", https("a.example")),
            ("https://[2001:db8::1]/cb", https("[2001:db8::1]")),
            ("http://localhost/callback", Ok(RedirectKind::Loopback)),
            ("http://localhost:8787/callback", Ok(RedirectKind::Loopback)),
            ("http://127.0.0.1/", Ok(RedirectKind::Loopback)),
            ("http://127.0.0.1:33418/", Ok(RedirectKind::Loopback)),
            ("http://127.9.8.7:1/", Ok(RedirectKind::Loopback)),
            ("http://[::1]:3000/cb", Ok(RedirectKind::Loopback)),
            ("cursor://anysphere.cursor-mcp/oauth/callback", private_use("cursor")),
            ("vscode://vscode.microsoft-authentication/cb", private_use("vscode")),
            ("vscode:", private_use("vscode")),
            ("com.example.app:/oauth2redirect/example-provider", private_use("com.example.app")),
        ] {
            assert_eq!(kind(text), expected, "{text}");
        }
    }

    /// RFC 6749 section 3.1.2, RFC 8252 section 8.4, RFC 9700 section 4.1.
    #[test]
    fn dangerous_redirect_uris_cannot_be_registered() {
        use InvalidRedirectUri as Invalid;
        for (text, expected) in [
            ("", Invalid::NotAbsolute),
            ("mcp", Invalid::NotAbsolute),
            ("/cb", Invalid::NotAbsolute),
            ("//evil.example/cb", Invalid::NotAbsolute),
            ("://evil.example", Invalid::NotAbsolute),
            ("1a://x", Invalid::NotAbsolute),
            ("https:evil.example", Invalid::NotAbsolute),
            ("https:/evil.example", Invalid::NotAbsolute),
            ("https:\\\\evil.example", Invalid::Character),
            ("https://a.example\\@evil.example/", Invalid::Character),
            ("https://a.example/cb#fragment", Invalid::Fragment),
            ("https://a.example/cb#", Invalid::Fragment),
            ("com.example.app:/cb#x", Invalid::Fragment),
            ("javascript:alert(1)", Invalid::Scheme),
            ("JaVaScRiPt:alert(1)", Invalid::Scheme),
            ("javascript://a.example/%0aalert(1)", Invalid::Scheme),
            ("data:text/html,x", Invalid::Scheme),
            ("file:///etc/passwd", Invalid::Scheme),
            ("vbscript:x", Invalid::Scheme),
            ("about:blank", Invalid::Scheme),
            ("blob:https://a.example/1", Invalid::Scheme),
            ("filesystem:https://a.example/x", Invalid::Scheme),
            ("view-source:https://a.example", Invalid::Scheme),
            ("intent://a.example/x;end", Invalid::Scheme),
            ("ws://a.example/", Invalid::Scheme),
            ("wss://a.example/", Invalid::Scheme),
            ("ftp://a.example/", Invalid::Scheme),
            ("mailto:a@b.example", Invalid::Scheme),
            ("ms-msdt:/id", Invalid::Scheme),
            ("urn:ietf:wg:oauth:2.0:oob", Invalid::Scheme),
            ("localhost:8080/cb", Invalid::Scheme),
            ("HTTP://LOCALHOST/cb", Invalid::Scheme),
            ("HTTPS://a.example/cb", Invalid::Scheme),
            ("http://a.example/cb", Invalid::PlainHttp),
            ("http://localhost.evil.com/cb", Invalid::PlainHttp),
            ("http://127.0.0.1.nip.io/cb", Invalid::PlainHttp),
            ("http://10.0.0.1/cb", Invalid::PlainHttp),
            ("http://0.0.0.0/cb", Invalid::PlainHttp),
            ("http://[::]/cb", Invalid::PlainHttp),
            ("http://[::ffff:127.0.0.1]/cb", Invalid::Host),
            ("http://[::ffff:7f00:1]/cb", Invalid::PlainHttp),
            ("http://127.1/cb", Invalid::Host),
            ("http://2130706433/cb", Invalid::Host),
            ("http://0x7f.0.0.1/cb", Invalid::Host),
            ("http://127.0.0.01/cb", Invalid::Host),
            ("http://localhost./cb", Invalid::Host),
            ("http://loc%61lhost/cb", Invalid::Host),
            ("https://a%2eexample/cb", Invalid::Host),
            ("https://*.example/cb", Invalid::Host),
            ("https:///cb", Invalid::Host),
            ("https://?x", Invalid::Host),
            ("https://xn--/cb", Invalid::Host),
            ("https://[::1/cb", Invalid::Port),
            ("https://[::1]evil.example/cb", Invalid::Host),
            ("http://a.example@localhost/cb", Invalid::UserInfo),
            ("https://a.example@evil.example/cb", Invalid::UserInfo),
            ("https://a.example:443@evil.example/cb", Invalid::UserInfo),
            ("https://@a.example/cb", Invalid::UserInfo),
            ("cursor://a@b/cb", Invalid::UserInfo),
            ("cursor://*/cb", Invalid::Host),
            ("http://localhost:/cb", Invalid::Port),
            ("http://localhost:0/cb", Invalid::Port),
            ("http://localhost:65536/cb", Invalid::Port),
            ("http://localhost:080/cb", Invalid::Port),
            ("http://localhost:+80/cb", Invalid::Port),
            ("http://localhost:80:90/cb", Invalid::Port),
            ("https://a.example/\tcb", Invalid::Character),
            ("https://a.example/\r\nLocation:x", Invalid::Character),
            (" https://a.example/", Invalid::Character),
            ("https://a.example/\u{0}", Invalid::Character),
            ("java\nscript:alert(1)", Invalid::Character),
            ("https://\u{430}.example/cb", Invalid::Character),
            ("https://a.example/<script>", Invalid::Character),
            ("https://a.example/%", Invalid::Character),
            ("https://a.example/%0", Invalid::Character),
            ("https://a.example/%zz", Invalid::Character),
            ("https://a.example/cb?iss=https://other.example", Invalid::ReservedParameter),
            ("https://a.example/cb?x=1&c%6fde=stolen", Invalid::ReservedParameter),
        ] {
            assert_eq!(kind(text), Err(expected), "{text}");
        }
    }

    #[test]
    fn the_length_is_bounded() {
        let of = |length: usize| format!("https://a.example/{}", "x".repeat(length - "https://a.example/".len()));
        assert!(kind(&of(MAX_REDIRECT_URI_BYTES)).is_ok());
        assert_eq!(kind(&of(MAX_REDIRECT_URI_BYTES + 1)), Err(InvalidRedirectUri::TooLong));
    }

    proptest! {
        #[test]
        fn what_is_accepted_is_read_the_same_way_by_the_url_standard(text in "(https?|[a-z.]{1,8})://[a-z0-9.:@%\\[\\]*_-]{0,16}[/?#]?[ -~]{0,12}") {
            if let Ok(redirect) = RegisteredRedirect::parse(&text) {
                let url = Url::parse(&text).unwrap();
                prop_assert!(url.username().is_empty() && url.password().is_none() && url.fragment().is_none());
                match redirect.kind() {
                    RedirectKind::Https { host } => prop_assert_eq!(url.host_str(), Some(host.as_str())),
                    RedirectKind::Loopback => prop_assert!(url.host_str().is_some_and(is_loopback)),
                    RedirectKind::PrivateUse { scheme } => prop_assert_eq!(url.scheme(), scheme),
                }
            }
        }

        #[test]
        fn no_input_panics(text in "\\PC{0,60}") {
            let _ = RegisteredRedirect::parse(&text);
        }
    }
}
