//! What `sallyport check` prints: everything that was derived, and what to register where.

use std::fmt::Write;

use crate::config::file::Provider;
use crate::config::identity::{Identity, Oidc};
use crate::config::origin::Origin;
use crate::config::route::Route;
use crate::config::{Config, Store};

/// The configuration in words: who reaches what under which URL, and what to register at other servers.
pub fn describe(config: &Config) -> String {
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _ = write(&mut text, config);
    text
}

fn write(out: &mut String, config: &Config) -> std::fmt::Result {
    let origins = Origins::of(config);
    writeln!(out, "Configuration   {}", config.name)?;
    writeln!(out)?;
    writeln!(out, "Gateway")?;
    for listener in &config.server.listen {
        let scheme = if listener.tls.is_some() { "https" } else { "http" };
        writeln!(out, "  listens on      {scheme}://{}", listener.address)?;
    }
    writeln!(out, "  admin           http://{}", config.server.admin_listen)?;
    for (name, path) in [("pid file", &config.server.pid_file), ("upgrade socket", &config.server.upgrade_socket)] {
        if let Some(path) = path {
            writeln!(out, "  {name:<15} {}", path.display())?;
        }
    }
    for origin in &origins.list {
        writeln!(out, "  origin, issuer  {origin}")?;
    }
    if let Some(note) = origins.note {
        writeln!(out, "                  {note}")?;
    }
    match &config.store {
        Store::Sqlite { path } => writeln!(out, "  store           SQLite, {}", path.display())?,
        Store::Postgres { .. } => writeln!(out, "  store           PostgreSQL")?,
    }
    writeln!(out)?;
    identity(out, config, &origins)?;
    for item in &config.routes {
        route(out, item, config, &origins)?;
    }
    notes(out, config)
}

fn identity(out: &mut String, config: &Config, origins: &Origins) -> std::fmt::Result {
    let oidc: &Oidc = match &config.identity {
        Identity::Oidc(oidc) => oidc,
        Identity::Dev { users } => {
            writeln!(out, "Identity provider: dev (anybody on this machine, without a password)")?;
            return writeln!(out, "  users           {}", users.join(", "));
        }
    };
    writeln!(out, "Identity provider: {}", oidc.provider.name())?;
    writeln!(out, "  issuer          {}", oidc.issuer)?;
    let endpoints = [
        ("keys", &oidc.endpoints.jwks),
        ("authorization", &oidc.endpoints.authorize),
        ("token", &oidc.endpoints.token),
    ];
    for (name, url) in endpoints {
        let url = url.as_ref().map_or("discovered from the issuer", url::Url::as_str);
        writeln!(out, "  {name:<15} {url}")?;
    }
    writeln!(out, "  client id       {}", oidc.client_id)?;
    writeln!(out, "  scope           {}", oidc.scope)?;
    writeln!(out, "  Register there this redirect URI, at {}:", place(oidc.provider))?;
    let callback = config.server.base_path.join("/oauth/callback");
    origins.list.iter().try_for_each(|origin| writeln!(out, "    {origin}{callback}"))
}

/// Where a provider takes redirect URIs, in its own words.
const fn place(provider: Provider) -> &'static str {
    match provider {
        Provider::Auth0 => "Applications > your Regular Web Application > Allowed Callback URLs",
        Provider::Cognito => "App clients > your client > Login pages > Allowed callback URLs",
        Provider::Clerk => "OAuth applications > your application > Redirect URIs",
        Provider::Google => "Google Auth Platform > Clients > your Web application > Authorized redirect URIs",
        Provider::Keycloak => "Clients > your client > Valid redirect URIs",
        Provider::Logto => "Applications > your Traditional web application > Redirect URIs",
        Provider::Entra => "App registrations > your application > Authentication > Web > Redirect URIs",
        Provider::Okta => "Applications > your Web Application > Sign-in redirect URIs",
        Provider::OneLogin => "Applications > your OpenId Connect app > Configuration > Redirect URI's",
        Provider::Ping => "Applications > your OIDC Web App > Configuration > Redirect URIs",
        Provider::WorkOs => "Redirects",
        Provider::Oidc | Provider::Dev => "the application with this client id",
    }
}

fn route(out: &mut String, route: &Route, config: &Config, origins: &Origins) -> std::fmt::Result {
    let Route { path, operation_id, summary, upstream, .. } = route;
    writeln!(out)?;
    writeln!(out, "Route {operation_id}: {summary}")?;
    for origin in &origins.list {
        writeln!(out, "  MCP URL         {origin}{path}")?;
        writeln!(out, "  metadata        {origin}/.well-known/oauth-protected-resource{path}")?;
    }
    let mode = upstream.auth.mode().name();
    writeln!(out, "  upstream        {} ({}, authMode {mode})", upstream.url, upstream.id)?;
    if upstream.auth.has_connections() {
        let callback = config.server.base_path.join(&format!("/auth/connections/{}/callback", upstream.id));
        writeln!(out, "  Where the upstream's authorization server asks for a redirect URI, register:")?;
        for origin in &origins.list {
            writeln!(out, "    {origin}{callback}")?;
        }
    }
    Ok(())
}

fn notes(out: &mut String, config: &Config) -> std::fmt::Result {
    if config.warnings.is_empty() {
        return Ok(());
    }
    writeln!(out)?;
    writeln!(out, "Warnings")?;
    config.warnings.iter().try_for_each(|problem| writeln!(out, "  {}:{problem}", config.name))
}

/// The origins to show.
struct Origins {
    list: Vec<String>,
    note: Option<&'static str>,
}

impl Origins {
    fn of(config: &Config) -> Self {
        let pinned = &config.server.public_origins;
        if !pinned.is_empty() {
            return Self { list: pinned.iter().map(Origin::to_string).collect(), note: None };
        }
        let derived = |listener: &crate::config::server::Listener| {
            let scheme = if listener.tls.is_some() { "https" } else { "http" };
            match listener.address.ip() {
                ip if ip.is_unspecified() => format!("{scheme}://<host>:{}", listener.address.port()),
                _ => format!("{scheme}://{}", listener.address),
            }
        };
        Self {
            list: config.server.listen.iter().map(derived).collect(),
            note: Some("(derived from each request; set server.publicOrigin to pin it)"),
        }
    }
}
