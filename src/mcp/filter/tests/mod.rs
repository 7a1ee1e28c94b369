//! A view of a few names, and what the filter makes of messages through it.

mod answers;
mod events;
mod requests;

use super::{Item, Kind, Projection, UriTemplate, View};

/// Shows what is called `shown…`, and of URIs `shown://…` and the expansions of `shown:///{id}`.
struct TestView {
    projection: Option<(Kind, Projection)>,
    private: bool,
    template: UriTemplate,
}

impl TestView {
    fn new() -> Self {
        Self { projection: None, private: false, template: UriTemplate::parse("made:///{id}").unwrap() }
    }

    fn projecting(kind: Kind, projection: Projection) -> Self {
        Self { projection: Some((kind, projection)), ..Self::new() }
    }

    fn private() -> Self {
        Self { private: true, ..Self::new() }
    }
}

impl View for TestView {
    fn item(&self, kind: Kind, key: &str) -> Item<'_> {
        match &self.projection {
            _ if !key.starts_with("shown") => Item::Hidden,
            Some((projected, projection)) if *projected == kind => Item::Projected(projection),
            _ => Item::Whole,
        }
    }

    fn shows_uri(&self, uri: &str) -> bool {
        uri.starts_with("shown") || self.template.expands_to(uri)
    }

    fn hides_uris(&self) -> bool {
        true
    }

    fn shows_any(&self, kind: Kind) -> bool {
        kind != Kind::Prompt
    }

    fn is_private(&self) -> bool {
        self.private
    }

    fn passes_method(&self, method: &str) -> bool {
        method == "example/known"
    }

    fn accepts_tool(&self, _name: &str, definition: &str) -> bool {
        !definition.contains("unaccepted")
    }

    fn known_tool<'t>(&self, _: &'t str) -> Option<(&'t str, usize)> {
        None
    }

    fn holds_tool(&self, name: &str) -> bool {
        name == "shown-held"
    }
}
