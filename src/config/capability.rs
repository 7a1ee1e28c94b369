//! `routes[].capabilities`: which of an upstream's capabilities clients see.

use serde_json::{Map, Value};

use crate::config::at::{At, State};
use crate::config::check::Check;
use crate::config::file;
use crate::config::parse;
use crate::config::problem::Fault;

/// Which of an upstream's capabilities clients see. For each kind: `None` passes all, an empty list none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Capabilities {
    /// Visible tools, by name.
    pub tools: Option<Vec<Capability>>,
    /// Visible prompts, by name.
    pub prompts: Option<Vec<Capability>>,
    /// Visible resources, by URI.
    pub resources: Option<Vec<Capability>>,
    /// Visible resource templates, by URI template.
    pub resource_templates: Option<Vec<Capability>>,
    /// Narrows further, by the caller's claims.
    pub access_control: Option<AccessControl>,
    /// Methods of extensions that may pass although the filter does not know what they are about.
    pub methods: Vec<String>,
    /// Whether the section is there at all.
    pub given: bool,
}

/// A visible capability and what clients read about it instead of what the upstream says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Capability {
    /// The upstream's name, URI or URI template, exactly.
    pub key: String,
    /// Replaces the name; resources and templates only.
    pub name: Option<String>,
    /// Replaces the description.
    pub description: Option<String>,
    /// Replaces the media type; resources and templates only.
    pub mime_type: Option<String>,
    /// Merged into the annotations.
    pub annotations: Option<Map<String, Value>>,
    /// Merged into `_meta`.
    pub meta: Option<Map<String, Value>>,
    /// With access control: the roles that see it.
    pub roles: Vec<String>,
    /// With access control: the groups that see it.
    pub groups: Vec<String>,
}

/// Narrows the capabilities by the caller's roles and groups.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessControl {
    /// The claim that lists the caller's roles.
    pub role_claim: String,
    /// The claim that lists the caller's groups.
    pub group_claim: String,
}

impl Capabilities {
    /// Checks the section.
    pub fn check(file: &file::Capabilities, check: &mut Check) -> Self {
        let access_control = access_control(&file.access_control, check);
        let controlled = !file.access_control.is_unset();
        let lists = [file.tools.is_unset(), file.prompts.is_unset(), file.resources.is_unset()];
        let given = controlled
            || !file.methods.is_unset()
            || !file.resource_templates.is_unset()
            || lists.iter().any(|unset| !unset);
        Self {
            tools: entries(&file.tools, controlled, check, |tool| Entry {
                key: &tool.name,
                name: None,
                description: &tool.description,
                mime_type: None,
                annotations: &tool.annotations,
                meta: &tool.meta,
                roles: &tool.roles,
                groups: &tool.groups,
            }),
            prompts: entries(&file.prompts, controlled, check, |prompt| Entry {
                key: &prompt.name,
                name: None,
                description: &prompt.description,
                mime_type: None,
                annotations: &prompt.annotations,
                meta: &prompt.meta,
                roles: &prompt.roles,
                groups: &prompt.groups,
            }),
            resources: entries(&file.resources, controlled, check, |resource| Entry {
                key: &resource.uri,
                name: Some(&resource.name),
                description: &resource.description,
                mime_type: Some(&resource.mime_type),
                annotations: &resource.annotations,
                meta: &resource.meta,
                roles: &resource.roles,
                groups: &resource.groups,
            }),
            resource_templates: entries(&file.resource_templates, controlled, check, |template| Entry {
                key: &template.uri_template,
                name: Some(&template.name),
                description: &template.description,
                mime_type: Some(&template.mime_type),
                annotations: &template.annotations,
                meta: &template.meta,
                roles: &template.roles,
                groups: &template.groups,
            }),
            access_control,
            methods: check.parse_list(&file.methods, parse::line),
            given,
        }
    }
}

struct Entry<'f> {
    key: &'f At<String>,
    name: Option<&'f At<String>>,
    description: &'f At<String>,
    mime_type: Option<&'f At<String>>,
    annotations: &'f At<Map<String, Value>>,
    meta: &'f At<Map<String, Value>>,
    roles: &'f At<Vec<At<String>>>,
    groups: &'f At<Vec<At<String>>>,
}

fn entries<'f, T>(
    at: &'f At<Vec<T>>,
    controlled: bool,
    check: &mut Check,
    entry: impl Fn(&'f T) -> Entry<'f>,
) -> Option<Vec<Capability>> {
    if matches!(at.state, State::Absent) {
        return None;
    }
    let mut taken = Vec::new();
    let mut capabilities = Vec::new();
    for item in check.list(at) {
        let Entry { key: at, name, description, mime_type, annotations, meta, roles, groups } = entry(item);
        check.require(at, "the upstream's name or URI of the capability");
        let key = check.text(at);
        for classes in [roles, groups] {
            if !controlled && !classes.is_unset() {
                check.invalid(
                    classes,
                    "`capabilities.accessControl` on the same route, which roles and groups belong to",
                );
            }
        }
        let capability = Capability {
            key: key.clone().unwrap_or_default(),
            name: name.and_then(|name| check.text(name)),
            description: description.get().cloned(),
            mime_type: mime_type.and_then(|mime_type| check.text(mime_type)),
            annotations: annotations.get().cloned(),
            meta: meta.get().cloned(),
            roles: check.parse_list(roles, parse::line),
            groups: check.parse_list(groups, parse::line),
        };
        if let Some(key) = key {
            check.unique(&mut taken, key, &at.place, &at.shown);
        }
        capabilities.push(capability);
    }
    Some(capabilities)
}

fn access_control(at: &At<file::AccessControl>, check: &mut Check) -> Option<AccessControl> {
    const NEEDS: &str = "`mode: rolesAndGroups`";
    if let State::Null = at.state {
        check.report(&at.place, Fault::Missing { needs: NEEDS });
    }
    let file = at.get()?;
    check.require(&file.mode, NEEDS);
    Some(AccessControl {
        role_claim: check.text(&file.role_claim).unwrap_or_else(|| file::ROLE_CLAIM.to_owned()),
        group_claim: check.text(&file.group_claim).unwrap_or_else(|| file::GROUP_CLAIM.to_owned()),
    })
}
