//! One YAML file becomes a validated `Config`.
//!
//! Text → [`tree`] (YAML with positions) → [`reference`] (`$env`, `$file`) → [`file`] (typed, read by [`reader`], every
//! value [`at`] its place) → the checks of the sections → [`Config`]. Every step adds its problems to one list, so that
//! one run reports all of them.

mod access;
mod at;
mod capability;
mod check;
mod describe;
mod error;
pub mod file;
mod gateway;
mod id_jag;
mod identity;
mod open_files;
mod origin;
mod parse;
mod problem;
mod rate_limits;
mod reader;
mod reference;
mod route;
mod server;
mod source;
mod store;
mod telemetry;
mod tree;
mod upstream;

pub use access::{Access, ClaimRule};
pub use capability::{AccessControl, Capabilities, Capability};
pub use describe::describe;
pub use error::Error;
pub use file::{AuthMode, LogFormat, LogLevel, PkceMode, Provider, ToolPinning};
pub use gateway::{BrowserLogin, Gateway, Log};
pub use id_jag::IdJagIssuer;
pub use identity::{Endpoints, Identity, Oidc};
pub use open_files::mode_if_open;
pub use origin::{AllowedOrigin, Origin};
pub use problem::{Fault, Hint, Place, Position, Problem};
pub use rate_limits::RateLimits;
pub use route::{Route, RoutePath};
pub use server::{BasePath, Listener, ListenerTls, Server};
pub use source::{Source, find};
pub use store::{EncryptionKey, Outbound, Store};
pub use telemetry::{EventsFile, Otlp, Telemetry};
pub use upstream::{
    ClientAuth, ClientCertificate, ClientRegistration, HttpVersion, Prompt, ResourceParameter, Upstream, UpstreamAuth,
    UpstreamOauth, UpstreamTls, UserKey,
};

use std::cell::RefCell;

use serde::Deserialize;

use crate::config::check::Check;
use crate::config::reader::Reader;
use crate::config::reference::Lookup;

/// A valid configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// What messages call the source.
    pub name: String,
    /// Where the gateway listens and how it is reached.
    pub server: Server,
    /// Where state is kept.
    pub store: Store,
    /// The key ring; the first key seals. May be empty with SQLite: then a key file is made beside the database.
    pub encryption_keys: Vec<EncryptionKey>,
    /// The gateway's own calls to other servers.
    pub outbound: Outbound,
    /// E-mail addresses or subject ids of administrators.
    pub admins: Vec<String>,
    /// Where users sign in.
    pub identity: Identity,
    /// The browser's sign-in at the gateway.
    pub browser_login: BrowserLogin,
    /// Tokens that the gateway issues to MCP clients.
    pub gateway: Gateway,
    /// How many requests a minute one network address may make to the gateway's own endpoints.
    pub rate_limits: RateLimits,
    /// The MCP endpoints; at least one.
    pub routes: Vec<Route>,
    /// What is logged, and how.
    pub log: Log,
    /// Where events and traces go, beside the log.
    pub telemetry: Telemetry,
    /// What is allowed but probably not meant.
    pub warnings: Vec<Problem>,
}

/// Loads and validates a configuration; `env` gives the variables of `$env(NAME)`.
///
/// The error holds all problems that were found, not only the first.
pub fn load(source: Source, env: &dyn Fn(&str) -> Option<String>) -> Result<Config, Error> {
    let name = source.name();
    let text = source.read()?;
    let mut root = tree::parse(&text).map_err(|source| Error::syntax(name.clone(), source))?;
    let mut problems = Vec::new();
    let lookup = Lookup { directory: source.directory(), env, files: RefCell::default() };
    lookup.resolve(&mut root, "", &mut problems);
    let problems = RefCell::new(problems);
    let file = file::File::deserialize(Reader::new(&root, &problems));
    let mut check = Check { problems: problems.into_inner(), ..Check::default() };
    let config = file.ok().and_then(|file| Config::check(&file, &name, &mut check));
    match config {
        Some(config) if check.problems.is_empty() => {
            for (place, path) in lookup.files.take() {
                check.warn_if_open(&place, &path);
            }
            if let Source::Path(path) = &source
                && check.warnings.iter().any(|warning| warning.fault == Fault::LiteralSecret)
            {
                check.warn_if_open(&Place::default(), path);
            }
            check.warnings.sort_by(|a, b| a.place.cmp(&b.place));
            Ok(Config { warnings: check.warnings, ..config })
        }
        _ => Err(Error::invalid(name, check.problems)),
    }
}

impl Config {
    fn check(file: &file::File, name: &str, check: &mut Check) -> Option<Self> {
        let server = Server::check(&file.server, check);
        let store = Store::check(&file.store, check);
        let encryption_keys = EncryptionKey::check_all(&file.encryption, &store, check);
        let outbound = Outbound::check(&file.outbound, check);
        let admins = check.parse_list(&file.admins, parse::line);
        let identity = Identity::check(&file.identity, &server, check);
        let browser_login = BrowserLogin::check(&file.browser_login, &file.identity, check);
        let gateway = Gateway::check(&file.gateway, check);
        let rate_limits = RateLimits::check(&file.rate_limits, check);
        let routes = Route::check_all(&file.routes, &server.base_path, check);
        id_jag::check_identity(identity.as_ref(), check);
        let log = Log::check(&file.log);
        let telemetry = Telemetry::check(&file.telemetry, check);
        Some(Self {
            name: name.to_owned(),
            server,
            store,
            encryption_keys,
            outbound,
            admins,
            identity: identity?,
            browser_login,
            gateway,
            rate_limits,
            routes,
            log,
            telemetry,
            warnings: Vec::new(),
        })
    }
}

#[cfg(test)]
mod tests;
