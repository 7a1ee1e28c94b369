//! Where the gateway's own endpoints are.

use super::Origin;

/// The prefix of all action endpoints; discovery documents stay at the origin root.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct BasePath(String);

impl BasePath {
    /// A base path as configured, `/` or `/prefix`, with or without a trailing slash.
    pub fn new(path: &str) -> Self {
        Self(path.trim_end_matches('/').to_owned())
    }

    /// The path of an endpoint, such as `/oauth/token`.
    pub fn path(&self, endpoint: &str) -> String {
        format!("{}{endpoint}", self.0)
    }

    /// The absolute URL of an endpoint.
    pub fn url(&self, origin: &Origin, endpoint: &str) -> String {
        format!("{origin}{}{endpoint}", self.0)
    }

    /// The endpoint that a request path names, if it is below this base.
    pub fn endpoint<'p>(&self, path: &'p str) -> Option<&'p str> {
        path.strip_prefix(self.0.as_str()).filter(|rest| rest.starts_with('/'))
    }
}

#[cfg(test)]
mod tests {
    use super::BasePath;

    #[test]
    fn endpoints_lie_below_the_base_path_and_nowhere_else() {
        let base = BasePath::new("/_gw/");
        assert_eq!(base.path("/oauth/token"), "/_gw/oauth/token");
        assert_eq!(base.endpoint("/_gw/oauth/token"), Some("/oauth/token"));
        assert_eq!(base.endpoint("/_gwx/oauth/token"), None);
        assert_eq!(base.endpoint("/oauth/token"), None);
        assert_eq!(BasePath::new("/").endpoint("/oauth/token"), Some("/oauth/token"));
    }
}
