//! From the checked configuration to the policies of the routes.

use std::fmt::Write;

use anyhow::{Context, bail};
use serde_json::{Map, Value};

use crate::{
    config::{self, Config},
    mcp::filter::{Kind, Projection, UriTemplate},
    pins::Pins,
    policy::{Access, AccessControl, Capabilities, Capability, Pinning, Policies, Policy, Rule},
    resource_server::{ClaimPath, ClaimPaths, Claims},
};

/// The policies of all routes that have one.
pub(super) fn policies(config: &Config, pins: &Pins) -> anyhow::Result<Policies> {
    let policy = |route| anyhow::Ok(Policy { pinning: pinning(route, pins), ..policy(route)? });
    let policies = config.routes.iter().map(|route| Ok((route.operation_id.clone(), policy(route)?)));
    Ok(Policies::new(policies.collect::<anyhow::Result<Vec<_>>>()?))
}

/// The claims that the policies ask for.
pub(super) fn claim_paths(config: &Config) -> anyhow::Result<ClaimPaths> {
    let paths = config.routes.iter().map(|route| Ok((route.operation_id.clone(), policy(route)?.claim_paths())));
    Ok(ClaimPaths::new(paths.collect::<anyhow::Result<Vec<_>>>()?))
}

/// What a caller with these claims would see on each route, in words.
pub fn explain(config: &Config, claims: &Map<String, Value>) -> anyhow::Result<String> {
    let mut text = String::new();
    for route in &config.routes {
        let policy = policy(route)?;
        explain_route(&mut text, route, &policy, claims).context("the explanation cannot be written")?;
    }
    Ok(text)
}

fn explain_route(
    out: &mut String,
    route: &config::Route,
    policy: &Policy,
    claims: &Map<String, Value>,
) -> std::fmt::Result {
    let claims = Claims::of(&policy.claim_paths(), claims);
    writeln!(out, "Route {} ({})", route.operation_id, route.path)?;
    if !policy.access.admits(&claims) {
        return writeln!(out, "  access             denied");
    }
    writeln!(out, "  access             allowed")?;
    for (name, kind) in [
        ("tools", Kind::Tool),
        ("prompts", Kind::Prompt),
        ("resources", Kind::Resource),
        ("resourceTemplates", Kind::ResourceTemplate),
    ] {
        match policy.capabilities.as_ref().and_then(|capabilities| capabilities.visible(kind, &claims)) {
            None => writeln!(out, "  {name:<18} all")?,
            Some(visible) if visible.is_empty() => writeln!(out, "  {name:<18} none")?,
            Some(visible) => writeln!(out, "  {name:<18} {}", visible.join(", "))?,
        }
    }
    Ok(())
}

/// The policy of one route.
pub(super) fn policy(route: &config::Route) -> anyhow::Result<Policy> {
    let rule = |rule: &config::ClaimRule| Rule { claim: ClaimPath::new(&rule.claim), any_of: rule.any_of.clone() };
    let rules = |list: &[config::ClaimRule]| list.iter().map(rule).collect::<Vec<_>>();
    Ok(Policy {
        access: Access { allow: route.access.allow.as_deref().map(rules), deny: rules(&route.access.deny) },
        capabilities: if route.capabilities.given { Some(capabilities(route)?) } else { None },
        pinning: None,
    })
}

fn pinning(route: &config::Route, pins: &Pins) -> Option<Pinning> {
    let hold = match route.tool_pinning {
        config::ToolPinning::Ignore => return None,
        config::ToolPinning::Log => false,
        config::ToolPinning::Hold => true,
    };
    Some(Pinning { pins: pins.of(&route.operation_id), hold })
}

fn capabilities(route: &config::Route) -> anyhow::Result<Capabilities> {
    let given = &route.capabilities;
    let mut capabilities = Capabilities::new(given.access_control.as_ref().map(|control| AccessControl {
        role_claim: ClaimPath::new(&control.role_claim),
        group_claim: ClaimPath::new(&control.group_claim),
    }));
    for (kind, list) in [
        (Kind::Tool, &given.tools),
        (Kind::Prompt, &given.prompts),
        (Kind::Resource, &given.resources),
        (Kind::ResourceTemplate, &given.resource_templates),
    ] {
        let Some(list) = list else { continue };
        if kind == Kind::ResourceTemplate
            && let Some(bad) = list.iter().find(|entry| UriTemplate::parse(&entry.key).is_none())
        {
            bail!(
                "`capabilities.resourceTemplates` of the route `{}`: `{}` is not a URI template (RFC 6570)",
                route.operation_id,
                bad.key
            );
        }
        capabilities.show(kind, list.iter().map(capability));
    }
    capabilities.pass_methods(given.methods.clone());
    Ok(capabilities)
}

fn capability(entry: &config::Capability) -> Capability {
    let text = |text: &Option<String>| text.as_deref().map(|text| Value::from(text).to_string());
    Capability {
        key: entry.key.clone(),
        projection: Projection {
            name: text(&entry.name),
            description: text(&entry.description),
            mime_type: text(&entry.mime_type),
            annotations: entry.annotations.clone(),
            meta: entry.meta.clone(),
        },
        roles: entry.roles.clone(),
        groups: entry.groups.clone(),
    }
}
