//! Connecting an upstream: the question before, and the news after the upstream's own authorization.

use super::{ClientIdentity, Detail, Field, FormAction, LocalHref, Page, Route, SafeHost, SafeText, User};

/// What a connect link opens, a form that is posted with `ticket` and `csrf`.
#[derive(askama::Template)]
#[template(path = "connect.html")]
pub struct Connect {
    /// Where the form is posted to; the answer redirects to the upstream's authorization server.
    pub action: LocalHref,
    /// The ticket of the link.
    pub ticket: String,
    /// Proof that the form was ours, for this browser session.
    pub csrf: String,
    /// The upstream's name for people.
    pub upstream: SafeText,
    /// The host of its authorization server, where the browser goes.
    pub authorization_server: SafeHost,
    /// The client that needs the connection; none if the person came of their own accord.
    pub asked_by: Option<AskedBy>,
    /// The route that needs it.
    pub route: Route,
    /// The scopes that will be asked for; empty: the upstream decides.
    pub scopes: Vec<SafeText>,
    /// Whether it becomes the gateway's own connection, which everybody acts through.
    pub shared: bool,
    /// Who is signed in.
    pub user: User,
    /// Where somebody else's sign-in can be ended.
    pub sign_out: LocalHref,
}

/// Asks for an API key, in a form that is posted with `key`, the field `asked`, and `csrf`.
#[derive(askama::Template)]
#[template(path = "connect_key.html")]
pub struct ConnectKey {
    /// Where the form is posted to.
    pub action: LocalHref,
    /// Where the person came from.
    pub asked: Field,
    /// Proof that the form was ours, for this browser session.
    pub csrf: String,
    /// The upstream's name for people.
    pub upstream: SafeText,
    /// The route that needs it.
    pub route: Route,
    /// Where people get a key, in the operator's words.
    pub help: Option<SafeText>,
    /// Why the form comes again.
    pub problem: Option<SafeText>,
    /// Who is signed in.
    pub user: User,
    /// Where somebody else's sign-in can be ended.
    pub sign_out: LocalHref,
}

/// The client that needs a connection.
pub struct AskedBy {
    /// Its name, which is the client's own claim.
    pub name: SafeText,
    /// How far the gateway knows who is behind it.
    pub identity: ClientIdentity,
}

/// Says that an upstream is connected.
#[derive(askama::Template)]
#[template(path = "connected.html")]
pub struct Connected {
    /// The upstream's name for people.
    pub upstream: SafeText,
    /// Where the person was when they began, if that was at the gateway.
    pub back: Option<LocalHref>,
}

/// Says that an upstream could not be connected, and who can do what about it.
#[derive(askama::Template)]
#[template(path = "connect_failed.html")]
pub struct ConnectFailed {
    /// The upstream's name for people.
    pub upstream: SafeText,
    /// What happened, in a sentence.
    pub happened: SafeText,
    /// What the person can do, a sentence each; may be empty.
    pub you_can: Vec<SafeText>,
    /// What an administrator can do, a sentence each; may be empty.
    pub administrator_can: Vec<SafeText>,
    /// Begins again, where that may help.
    pub try_again: Option<LocalHref>,
    /// The request id under which the log tells more.
    pub request_id: SafeText,
    /// What the upstream's authorization server said, if it said anything.
    pub answer: Option<UpstreamError>,
    /// Further technical details, folded away with the answer; may be empty.
    pub details: Vec<Detail>,
}

/// An OAuth error of an upstream's authorization server (RFC 6749 sections 4.1.2.1 and 5.2).
pub struct UpstreamError {
    /// `error`.
    pub code: SafeText,
    /// `error_description`.
    pub description: Option<SafeText>,
}

/// Says that a connect link was made for somebody else, without a word about whom.
#[derive(askama::Template)]
#[template(path = "wrong_person.html")]
pub struct WrongPerson {
    /// Who is signed in.
    pub user: User,
    /// Where that sign-in can be ended.
    pub sign_out: LocalHref,
}

impl Page for Connect {
    const FORM_ACTION: FormAction = FormAction::Unrestricted;
}

impl Page for ConnectKey {
    const FORM_ACTION: FormAction = FormAction::SelfOnly;
}

impl Page for Connected {
    const FORM_ACTION: FormAction = FormAction::None_;
}

impl Page for ConnectFailed {
    const FORM_ACTION: FormAction = FormAction::None_;
}

impl Page for WrongPerson {
    const FORM_ACTION: FormAction = FormAction::None_;
}
