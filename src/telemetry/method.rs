//! The methods of MCP by name, a bounded set: whatever else a client sends is [`Method::Other`].

/// What a message of a client asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Method(u8);

impl Method {
    /// A method that MCP does not have, or that could not be read.
    pub const OTHER: Self = Self(0);
    /// An answer of the client to a request of the server.
    pub const RESPONSE: Self = Self(1);
    /// Several messages at once, as revision 2025-03-26 allows.
    pub const BATCH: Self = Self(2);
    /// How many there are.
    pub const COUNT: usize = NAMES.len();

    /// The method of this name.
    pub fn named(name: &[u8]) -> Self {
        let index = NAMES.iter().skip(3).position(|known| known.as_bytes() == name);
        index.and_then(|index| u8::try_from(index + 3).ok()).map_or(Self::OTHER, Self)
    }

    /// The method with this index, below [`Method::COUNT`].
    pub fn at(index: usize) -> Self {
        u8::try_from(index).ok().filter(|index| usize::from(*index) < Self::COUNT).map_or(Self::OTHER, Self)
    }

    /// A number below [`Method::COUNT`].
    pub const fn index(self) -> usize {
        self.0 as usize
    }

    /// The name on the wire; `other`, `response` and `batch` for what has none.
    pub const fn as_str(self) -> &'static str {
        NAMES[self.0 as usize]
    }

    /// Whether it uses one capability of the server, which its parameters name.
    pub fn uses_capability(self) -> bool {
        matches!(self.as_str(), "tools/call" | "prompts/get") || self.names_resource()
    }

    /// Whether it asks for the server's tools.
    pub fn lists_tools(self) -> bool {
        self.as_str() == "tools/list"
    }

    /// Whether the capability is named by its URI.
    pub fn names_resource(self) -> bool {
        matches!(self.as_str(), "resources/read" | "resources/subscribe" | "resources/unsubscribe")
    }
}

/// The most frequent ones come first.
static NAMES: [&str; 29] = [
    "other",
    "response",
    "batch",
    "tools/call",
    "tools/list",
    "ping",
    "initialize",
    "notifications/initialized",
    "server/discover",
    "resources/read",
    "prompts/get",
    "resources/list",
    "prompts/list",
    "resources/templates/list",
    "notifications/cancelled",
    "notifications/progress",
    "notifications/roots/list_changed",
    "completion/complete",
    "subscriptions/listen",
    "resources/subscribe",
    "resources/unsubscribe",
    "logging/setLevel",
    "tasks/get",
    "tasks/result",
    "tasks/update",
    "tasks/list",
    "tasks/cancel",
    "notifications/tasks/status",
    "notifications/elicitation/complete",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_method_has_one_name_and_what_is_none_is_other() {
        for index in 0..Method::COUNT {
            let method = Method::at(index);
            assert_eq!(method.index(), index);
            if index > 2 {
                assert_eq!(Method::named(method.as_str().as_bytes()), method);
            }
        }
        for name in ["", "other", "batch", "response", "Tools/Call", "tools/call ", "x/y"] {
            assert_eq!(Method::named(name.as_bytes()), Method::OTHER, "{name}");
        }
        assert_eq!(Method::at(Method::COUNT), Method::OTHER);
    }
}
