//! What a path of the API names.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

use super::REGISTRY;

/// What a path of the API names; names and versions are decoded.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Target<'p> {
    /// All servers.
    List,
    /// The versions of a server.
    Versions(Cow<'p, str>),
    /// One version of a server.
    Version(Cow<'p, str>, Cow<'p, str>),
    /// The status of a server, which only a registry that is written has.
    Status,
    /// Where servers are published in such a registry.
    Publish,
}

impl<'p> Target<'p> {
    /// What a path below the base path names.
    ///
    /// The slash in a server's name is to be sent as `%2F`; a bare one, which some proxies make of it, is taken as well.
    pub(super) fn at(endpoint: &'p str) -> Option<Self> {
        let path = endpoint.strip_prefix(REGISTRY)?.strip_prefix("/v0.1")?;
        let path = path.strip_suffix('/').unwrap_or(path);
        match path {
            "/servers" => return Some(Self::List),
            "/publish" => return Some(Self::Publish),
            _ => {}
        }
        let below = path.strip_prefix("/servers/")?;
        if below.ends_with("/status") {
            return Some(Self::Status);
        }
        if let Some(name) = below.strip_suffix("/versions") {
            return Some(Self::Versions(decode(name)?));
        }
        let (name, version) = below.rsplit_once("/versions/")?;
        if version.contains('/') { None } else { Some(Self::Version(decode(name)?, decode(version)?)) }
    }
}

fn decode(text: &str) -> Option<Cow<'_, str>> {
    percent_decode_str(text).decode_utf8().ok().filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_decoded_once_and_the_rest_is_compared_as_it_is() {
        let versions = |name: &str| Some(Target::Versions(Cow::Owned(name.to_owned())));
        let version = |name: &str, version: &str| {
            Some(Target::Version(Cow::Owned(name.to_owned()), Cow::Owned(version.to_owned())))
        };
        for (path, expected) in [
            ("/servers", Some(Target::List)),
            ("/servers/", Some(Target::List)),
            ("/publish", Some(Target::Publish)),
            ("/servers/a.b%2Fc/versions", versions("a.b/c")),
            ("/servers/a.b%2fc/versions/", versions("a.b/c")),
            ("/servers/a.b/c/versions", versions("a.b/c")),
            ("/servers/a.b%252Fc/versions", versions("a.b%2Fc")),
            ("/servers/a%2Fversions/versions/latest", version("a/versions", "latest")),
            ("/servers/a/versions/versions/latest", version("a/versions", "latest")),
            ("/servers/a%2Fb/versions/1.0.0%2B1", version("a/b", "1.0.0+1")),
            ("/servers/a%2Fb/versions/1.0.0/status", Some(Target::Status)),
            ("/servers/a%2Fb/status", Some(Target::Status)),
            ("/servers/a%2Fb", None),
            ("/servers/a%2Fb/versions/1/2", None),
            ("/servers/%FF/versions", None),
            ("/servers//versions", None),
            ("/Servers", None),
            ("", None),
        ] {
            assert_eq!(Target::at(&format!("/mcp-registry/v0.1{path}")), expected, "{path}");
        }
        for path in ["/mcp-registry", "/mcp-registry/v0/servers", "/mcp-registry/v0.1servers", "/v0.1/servers"] {
            assert_eq!(Target::at(path), None, "{path}");
        }
    }
}
