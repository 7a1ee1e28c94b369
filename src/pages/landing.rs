//! The page at the root: what this is, and how to connect to it.

use super::{FormAction, LocalHref, Page, SafeText, User};

/// Lists the routes with their MCP URLs.
#[derive(askama::Template)]
#[template(path = "landing.html")]
pub struct Landing {
    /// The routes, in the order of the configuration.
    pub routes: Vec<LandingRoute>,
    /// Who looks, if that is known.
    pub user: Option<User>,
    /// Where a stranger signs in.
    pub sign_in: LocalHref,
    /// Where somebody who is known signs out.
    pub sign_out: LocalHref,
}

/// A route as a newcomer needs it.
pub struct LandingRoute {
    /// Its title for people.
    pub title: SafeText,
    /// A short name, fit for a command line: the operation id.
    pub name: String,
    /// The whole URL to give to an MCP client.
    pub url: String,
}

impl Page for Landing {
    const FORM_ACTION: FormAction = FormAction::None_;
}
