//! What a route shows one caller, as the filter asks for it.

use serde_json::{Map, Value};

/// The kinds of capabilities that a server lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Tools, by name.
    Tool,
    /// Prompts, by name.
    Prompt,
    /// Resources, by URI.
    Resource,
    /// Resource templates, by URI template.
    ResourceTemplate,
}

/// How a capability is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Item<'v> {
    /// As if it did not exist.
    Hidden,
    /// As the upstream describes it.
    Whole,
    /// With some of its description replaced.
    Projected(&'v Projection),
}

/// What replaces parts of a definition; schemas are never touched. Texts are JSON strings, quotes included.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Projection {
    /// In place of `name`.
    pub name: Option<String>,
    /// In place of `description`.
    pub description: Option<String>,
    /// In place of `mimeType`.
    pub mime_type: Option<String>,
    /// Merged into `annotations`.
    pub annotations: Option<Map<String, Value>>,
    /// Merged into `_meta`.
    pub meta: Option<Map<String, Value>>,
}

/// What there is for one caller at one route.
pub trait View {
    /// How an item of a list is shown.
    fn item(&self, kind: Kind, key: &str) -> Item<'_>;

    /// Whether the contents behind a URI may be seen.
    fn shows_uri(&self, uri: &str) -> bool;

    /// Whether there is a URI that may not be seen.
    fn hides_uris(&self) -> bool;

    /// Whether any item of a kind may be seen.
    fn shows_any(&self, kind: Kind) -> bool;

    /// Whether another caller may see something else, so that no answer may be shared between callers.
    fn is_private(&self) -> bool;

    /// Whether a method that the filter does not know may pass.
    fn passes_method(&self, method: &str) -> bool;

    /// Looks at the definition of a visible tool, as it was written; false hides the tool.
    fn accepts_tool(&self, name: &str, definition: &str) -> bool;

    /// The name of the tool at the front of this text, and how long its definition is, if the very same text was accepted
    /// as its definition before; such a text is not read again.
    fn known_tool<'t>(&self, text: &'t str) -> Option<(&'t str, usize)>;

    /// Whether a visible tool is hidden because its definition changed.
    fn holds_tool(&self, name: &str) -> bool;
}

impl Kind {
    /// The member of a result that lists items of this kind.
    pub const fn list(self) -> &'static str {
        match self {
            Self::Tool => "tools",
            Self::Prompt => "prompts",
            Self::Resource => "resources",
            Self::ResourceTemplate => "resourceTemplates",
        }
    }

    /// The member of an item that names it.
    pub const fn key(self) -> &'static str {
        match self {
            Self::Tool | Self::Prompt => "name",
            Self::Resource => "uri",
            Self::ResourceTemplate => "uriTemplate",
        }
    }
}
