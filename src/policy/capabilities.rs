//! What of an upstream is to be seen at a route, made ready for looking up.

use std::collections::HashMap;

use crate::{
    mcp::filter::{Item, Kind, Projection, UriTemplate},
    resource_server::{ClaimPath, Claims},
};

/// What of an upstream is to be seen. For each kind: none passes all, an empty list nothing.
#[derive(Debug, Default)]
pub struct Capabilities {
    tools: Option<Entries>,
    prompts: Option<Entries>,
    resources: Option<Entries>,
    resource_templates: Option<Entries>,
    access_control: Option<AccessControl>,
    methods: Vec<String>,
}

/// One visible item.
#[derive(Debug, Clone, Default)]
pub struct Capability {
    /// Its name, URI or URI template at the upstream, exactly.
    pub key: String,
    /// What replaces parts of its description.
    pub projection: Projection,
    /// With access control: the roles that see it.
    pub roles: Vec<String>,
    /// With access control: the groups that see it.
    pub groups: Vec<String>,
}

/// Narrows what is to be seen by the caller's roles and groups.
#[derive(Debug, Clone)]
pub struct AccessControl {
    /// The claim that lists the roles.
    pub role_claim: ClaimPath,
    /// The claim that lists the groups.
    pub group_claim: ClaimPath,
}

type Entries = HashMap<String, Entry>;

#[derive(Debug)]
struct Entry {
    capability: Capability,
    is_projected: bool,
    /// Of resource templates.
    template: Option<UriTemplate>,
}

impl Capabilities {
    /// Everything, narrowed by access control if there is some.
    pub fn new(access_control: Option<AccessControl>) -> Self {
        Self { access_control, ..Self::default() }
    }

    /// Shows only these items of a kind.
    pub fn show(&mut self, kind: Kind, items: impl IntoIterator<Item = Capability>) {
        let entry = |capability: Capability| {
            let entry = Entry {
                is_projected: capability.projection != Projection::default(),
                template: (kind == Kind::ResourceTemplate).then(|| UriTemplate::parse(&capability.key)).flatten(),
                capability,
            };
            (entry.capability.key.clone(), entry)
        };
        *self.entries_mut(kind) = Some(items.into_iter().map(entry).collect());
    }

    /// Lets methods pass that the filter does not know.
    pub fn pass_methods(&mut self, methods: Vec<String>) {
        self.methods = methods;
    }

    /// The claims that access control looks at.
    pub fn claim_paths(&self) -> impl Iterator<Item = &ClaimPath> {
        self.access_control.iter().flat_map(|control| [&control.role_claim, &control.group_claim])
    }

    /// Whether what is to be seen depends on who looks.
    pub const fn depend_on_caller(&self) -> bool {
        self.access_control.is_some()
    }

    /// How a user with these claims sees an item.
    pub fn item(&self, kind: Kind, key: &str, claims: &Claims) -> Item<'_> {
        let Some(entries) = self.entries(kind) else { return Item::Whole };
        match entries.get(key) {
            Some(entry) if self.shows(entry, claims) && entry.is_projected => {
                Item::Projected(&entry.capability.projection)
            }
            Some(entry) if self.shows(entry, claims) => Item::Whole,
            _ => Item::Hidden,
        }
    }

    /// Whether a user with these claims sees what is behind a URI: a resource, or what a template expands to.
    ///
    /// Where resources are listed, a URI that is in no list and expands no listed template is hidden, because nobody can
    /// say from the URI alone which of the upstream's templates it would belong to.
    pub fn shows_uri(&self, uri: &str, claims: &Claims) -> bool {
        if self.resources.is_none() || self.item(Kind::Resource, uri, claims) != Item::Hidden {
            return true;
        }
        let expands = |entry: &Entry| entry.template.as_ref().is_some_and(|template| template.expands_to(uri));
        self.resource_templates
            .iter()
            .flat_map(HashMap::values)
            .any(|entry| self.shows(entry, claims) && expands(entry))
    }

    /// Whether resources are listed, so that some URI is hidden.
    pub const fn hide_uris(&self) -> bool {
        self.resources.is_some()
    }

    /// Whether a user with these claims sees any item of a kind.
    pub fn shows_any(&self, kind: Kind, claims: &Claims) -> bool {
        self.entries(kind).is_none_or(|entries| entries.values().any(|entry| self.shows(entry, claims)))
    }

    /// Whether a method passes that the filter does not know.
    pub fn passes_method(&self, method: &str) -> bool {
        self.methods.iter().any(|known| known == method)
    }

    /// The listed items of a kind that a user with these claims sees, in order; none if everything passes.
    pub fn visible(&self, kind: Kind, claims: &Claims) -> Option<Vec<&str>> {
        let entries = self.entries(kind)?.values().filter(|entry| self.shows(entry, claims));
        let mut keys: Vec<_> = entries.map(|entry| entry.capability.key.as_str()).collect();
        keys.sort_unstable();
        Some(keys)
    }

    fn shows(&self, entry: &Entry, claims: &Claims) -> bool {
        self.access_control.as_ref().is_none_or(|control| {
            claims.has_any(&control.role_claim, &entry.capability.roles)
                || claims.has_any(&control.group_claim, &entry.capability.groups)
        })
    }

    const fn entries(&self, kind: Kind) -> Option<&Entries> {
        match kind {
            Kind::Tool => self.tools.as_ref(),
            Kind::Prompt => self.prompts.as_ref(),
            Kind::Resource => self.resources.as_ref(),
            Kind::ResourceTemplate => self.resource_templates.as_ref(),
        }
    }

    const fn entries_mut(&mut self, kind: Kind) -> &mut Option<Entries> {
        match kind {
            Kind::Tool => &mut self.tools,
            Kind::Prompt => &mut self.prompts,
            Kind::Resource => &mut self.resources,
            Kind::ResourceTemplate => &mut self.resource_templates,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn item(key: &str, roles: &[&str], groups: &[&str]) -> Capability {
        let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        Capability { key: key.to_owned(), roles: owned(roles), groups: owned(groups), ..Capability::default() }
    }

    fn claims(capabilities: &Capabilities, claims: serde_json::Value) -> Claims {
        let paths: Vec<_> = capabilities.claim_paths().cloned().collect();
        Claims::of(&paths, claims.as_object().unwrap())
    }

    /// Contract section 7: an unclassified entry is available to no one.
    #[test]
    fn roles_and_groups_narrow_and_the_unclassified_is_nobodys() {
        let control =
            AccessControl { role_claim: ClaimPath::new("realm.roles"), group_claim: ClaimPath::new("groups") };
        let mut capabilities = Capabilities::new(Some(control));
        capabilities.show(
            Kind::Tool,
            [item("read", &["viewer", "editor"], &[]), item("write", &["editor"], &["ops"]), item("plain", &[], &[])],
        );
        for (user, expected) in [
            (json!({"realm": {"roles": ["viewer"]}}), vec!["read"]),
            (json!({"realm": {"roles": ["editor"]}}), vec!["read", "write"]),
            (json!({"groups": ["ops"]}), vec!["write"]),
            (json!({"groups": ["viewer"], "roles": ["editor"]}), vec![]),
            (json!({}), vec![]),
        ] {
            let claims = claims(&capabilities, user.clone());
            assert_eq!(capabilities.visible(Kind::Tool, &claims), Some(expected.clone()), "{user}");
            for name in ["read", "write", "plain", "other"] {
                let shown = capabilities.item(Kind::Tool, name, &claims) != Item::Hidden;
                assert_eq!(shown, expected.contains(&name), "{user} {name}");
            }
            assert_eq!(capabilities.shows_any(Kind::Tool, &claims), !expected.is_empty());
            assert_eq!(capabilities.visible(Kind::Prompt, &claims), None);
        }
    }

    #[test]
    fn a_uri_is_shown_by_a_list_or_by_a_template() {
        let mut capabilities = Capabilities::new(None);
        let none = Claims::default();
        capabilities.show(Kind::ResourceTemplate, [item("a:///{id}", &[], &[])]);
        assert!(capabilities.shows_uri("b:///1", &none), "resources are not listed");
        capabilities.show(Kind::Resource, [item("a:///x/y", &[], &[])]);
        for (uri, shown) in [("a:///x/y", true), ("a:///1", true), ("a:///x/z", false), ("b:///1", false)] {
            assert_eq!(capabilities.shows_uri(uri, &none), shown, "{uri}");
        }
    }
}
