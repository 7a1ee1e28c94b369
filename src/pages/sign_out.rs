//! Signing out: the question, and the news that it is done.

use super::{FormAction, LocalHref, Page, SafeText};

/// Asks whether to sign out, a form that is posted with `csrf`.
#[derive(askama::Template)]
#[template(path = "sign_out.html")]
pub struct SignOut {
    /// Where the form is posted to.
    pub action: LocalHref,
    /// Proof that the form was ours, for this browser session.
    pub csrf: String,
    /// Who is signed in.
    pub user: SafeText,
    /// Where the person goes who stays, if there is such a place.
    pub stay: Option<LocalHref>,
}

/// Says that the browser session has ended.
#[derive(askama::Template)]
#[template(path = "signed_out.html")]
pub struct SignedOut;

impl Page for SignOut {
    const FORM_ACTION: FormAction = FormAction::SelfOnly;
}

impl Page for SignedOut {
    const FORM_ACTION: FormAction = FormAction::None_;
}
