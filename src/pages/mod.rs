//! Renders HTML pages from view structs; no JavaScript needed.
//!
//! A view holds everything its page says. Text is [`SafeText`], links are [`LocalHref`], and the templates escape all
//! of it, so that no caller has to remember which of its strings a stranger chose.

mod account;
mod admin;
mod connect;
mod consent;
mod csp;
mod dev_chooser;
mod display;
mod landing;
mod message;
mod sign_out;
mod tools;

pub use account::{Account, Application, Connection, ConnectionDates, ConnectionState, Field, Form, Remembered};
pub use admin::{Admin, Bars, Choice, Figure, Filter, Health, HealthState, Lines, Row, Table};
pub use connect::{AskedBy, Connect, ConnectFailed, ConnectKey, Connected, UpstreamError, WrongPerson};
pub use consent::{Client, ClientIdentity, Consent, Redirect, Route, Upstream, UpstreamState, User};
pub use csp::{FormAction, content_security_policy, style_csp_hash};
pub use dev_chooser::{DevChooser, DevUser};
pub use display::{LocalHref, SafeHost, SafeText, safe_host, safe_paragraph, safe_text, visible};
pub use landing::{Landing, LandingRoute};
pub use message::{Detail, Error, Link, Message, Tone};
pub use sign_out::{SignOut, SignedOut};
pub use tools::{ChangedTool, DecidedTool, DiffLine, Side, Tools};

/// A page: what it renders to, and where its forms may lead.
pub trait Page: askama::Template {
    /// What [`content_security_policy`] has to say about forms when it is sent with this page.
    const FORM_ACTION: FormAction;

    /// The whole HTML document.
    fn render(&self) -> String {
        askama::Template::render(self).expect("writing to a string cannot fail")
    }
}

/// The one stylesheet, embedded in every page and named by its hash in the policy.
const STYLE: &str = include_str!("style.css");

#[cfg(test)]
mod samples;
#[cfg(test)]
mod tests;
