//! What a person has connected, and whom they have let in; each can be ended here.

use super::{FormAction, LocalHref, Page, SafeText, User};

/// The page *My connections*.
#[derive(askama::Template)]
#[template(path = "account.html")]
pub struct Account {
    /// Who is signed in.
    pub user: User,
    /// Where the sign-in can be ended.
    pub sign_out: LocalHref,
    /// The upstreams that need a connection.
    pub connections: Vec<Connection>,
    /// The clients that the person has approved.
    pub applications: Vec<Application>,
    /// What the person is not asked about again.
    pub remembered: Vec<Remembered>,
}

/// An upstream, as far as the person is concerned.
pub struct Connection {
    /// Its name for people.
    pub upstream: SafeText,
    /// The scopes that were granted; may be empty.
    pub scopes: Vec<SafeText>,
    /// Whether it is the gateway's own connection, which everybody acts through.
    pub shared: bool,
    /// Whether it can be used.
    pub state: ConnectionState,
}

/// Whether a connection can be used, and what can be done about it.
pub enum ConnectionState {
    /// It works, as far as we know.
    Connected {
        /// Since when, and when it last changed.
        dates: ConnectionDates,
        /// Ends it.
        disconnect: Form,
    },
    /// The upstream ended it, or asks for more scope.
    NeedsRenewal {
        /// Since when, and when it last changed.
        dates: ConnectionDates,
        /// Starts the upstream's own authorization again.
        reconnect: LocalHref,
        /// Ends it.
        disconnect: Form,
    },
    /// There is none.
    NotConnected {
        /// Starts the upstream's own authorization.
        connect: LocalHref,
    },
}

/// The dates of a connection, written for people.
pub struct ConnectionDates {
    /// When the person connected.
    pub since: SafeText,
    /// When it last changed.
    pub changed: SafeText,
    /// When it was last used; none if it was not used yet.
    pub used: Option<SafeText>,
}

/// A client that the person has approved, for one route.
pub struct Application {
    /// Its name, which is the client's own claim.
    pub name: SafeText,
    /// The title of the route.
    pub route: SafeText,
    /// When it was approved, written for people.
    pub approved: SafeText,
    /// Takes the approval back.
    pub revoke: Form,
}

/// A client that gets in again, for one route, without the person being asked.
pub struct Remembered {
    /// Its name, or the host of its document.
    pub name: SafeText,
    /// The title of the route.
    pub route: SafeText,
    /// Until when, written for people.
    pub until: SafeText,
    /// Has the person asked again.
    pub forget: Form,
}

/// A button's form, posted with its fields and `csrf`.
pub struct Form {
    /// Where it is posted to.
    pub action: LocalHref,
    /// What it is about.
    pub fields: Vec<Field>,
    /// Proof that the form was ours, for this browser session.
    pub csrf: String,
}

/// A hidden field of a form.
pub struct Field {
    /// Its name.
    pub name: &'static str,
    /// Its value.
    pub value: String,
}

impl Page for Account {
    const FORM_ACTION: FormAction = FormAction::SelfOnly;
}
