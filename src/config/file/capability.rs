//! `routes[].capabilities`: which of an upstream's capabilities clients see.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::default::{groups, nothing, null, roles, section};
use super::server::allow_text;
use crate::config::at::At;

/// Which of an upstream's capabilities clients see. For each kind: unset passes all, `[]` none, entries only these.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Capabilities {
    /// Visible tools.
    #[schemars(default = "null")]
    pub tools: At<Vec<Tool>>,
    /// Visible prompts.
    #[schemars(default = "null")]
    pub prompts: At<Vec<Prompt>>,
    /// Visible resources.
    #[schemars(default = "null")]
    pub resources: At<Vec<Resource>>,
    /// Visible resource templates.
    #[schemars(default = "null")]
    pub resource_templates: At<Vec<ResourceTemplate>>,
    /// Narrows further, by the caller's claims.
    #[schemars(default = "section")]
    pub access_control: At<AccessControl>,
    /// Methods of extensions that may pass although the filter does not know what they are about.
    #[schemars(default = "nothing")]
    pub methods: At<Vec<At<String>>>,
}

/// A visible tool: its name, or a mapping that also overrides what clients read about it.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(transform = allow_text)]
pub struct Tool {
    /// The upstream's name of the tool, exactly.
    pub name: At<String>,
    /// Replaces the description.
    #[schemars(default = "null")]
    pub description: At<String>,
    /// Merged into the annotations.
    #[schemars(default = "null")]
    pub annotations: At<Map<String, Value>>,
    /// Merged into `_meta`.
    #[serde(rename = "_meta")]
    #[schemars(default = "null")]
    pub meta: At<Map<String, Value>>,
    /// With access control: the roles that see it.
    #[schemars(default = "nothing")]
    pub roles: At<Vec<At<String>>>,
    /// With access control: the groups that see it.
    #[schemars(default = "nothing")]
    pub groups: At<Vec<At<String>>>,
}

/// A visible prompt: its name, or a mapping that also overrides what clients read about it.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(transform = allow_text)]
pub struct Prompt {
    /// The upstream's name of the prompt, exactly.
    pub name: At<String>,
    /// Replaces the description.
    #[schemars(default = "null")]
    pub description: At<String>,
    /// Merged into the annotations.
    #[schemars(default = "null")]
    pub annotations: At<Map<String, Value>>,
    /// Merged into `_meta`.
    #[serde(rename = "_meta")]
    #[schemars(default = "null")]
    pub meta: At<Map<String, Value>>,
    /// With access control: the roles that see it.
    #[schemars(default = "nothing")]
    pub roles: At<Vec<At<String>>>,
    /// With access control: the groups that see it.
    #[schemars(default = "nothing")]
    pub groups: At<Vec<At<String>>>,
}

/// A visible resource: its URI, or a mapping that also overrides what clients read about it.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(transform = allow_text)]
pub struct Resource {
    /// The upstream's URI of the resource, exactly.
    pub uri: At<String>,
    /// Replaces the name.
    #[schemars(default = "null")]
    pub name: At<String>,
    /// Replaces the description.
    #[schemars(default = "null")]
    pub description: At<String>,
    /// Replaces the media type.
    #[schemars(default = "null")]
    pub mime_type: At<String>,
    /// Merged into the annotations.
    #[schemars(default = "null")]
    pub annotations: At<Map<String, Value>>,
    /// Merged into `_meta`.
    #[serde(rename = "_meta")]
    #[schemars(default = "null")]
    pub meta: At<Map<String, Value>>,
    /// With access control: the roles that see it.
    #[schemars(default = "nothing")]
    pub roles: At<Vec<At<String>>>,
    /// With access control: the groups that see it.
    #[schemars(default = "nothing")]
    pub groups: At<Vec<At<String>>>,
}

/// A visible resource template: its URI template, or a mapping that also overrides what clients read about it.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(transform = allow_text)]
pub struct ResourceTemplate {
    /// The upstream's URI template, exactly.
    pub uri_template: At<String>,
    /// Replaces the name.
    #[schemars(default = "null")]
    pub name: At<String>,
    /// Replaces the description.
    #[schemars(default = "null")]
    pub description: At<String>,
    /// Replaces the media type.
    #[schemars(default = "null")]
    pub mime_type: At<String>,
    /// Merged into the annotations.
    #[schemars(default = "null")]
    pub annotations: At<Map<String, Value>>,
    /// Merged into `_meta`.
    #[serde(rename = "_meta")]
    #[schemars(default = "null")]
    pub meta: At<Map<String, Value>>,
    /// With access control: the roles that see it.
    #[schemars(default = "nothing")]
    pub roles: At<Vec<At<String>>>,
    /// With access control: the groups that see it.
    #[schemars(default = "nothing")]
    pub groups: At<Vec<At<String>>>,
}

/// Narrows the capabilities by the caller's claims.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AccessControl {
    /// By roles and groups; an entry without any is then available to no one.
    pub mode: At<AccessControlMode>,
    /// The claim that lists the caller's roles.
    #[schemars(default = "roles")]
    pub role_claim: At<String>,
    /// The claim that lists the caller's groups.
    #[schemars(default = "groups")]
    pub group_claim: At<String>,
}

/// How the capabilities are narrowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum AccessControlMode {
    /// By the caller's roles and groups.
    RolesAndGroups,
}
