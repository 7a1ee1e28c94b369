//! Pages that say one thing: that something failed, or what to do next.

use super::{FormAction, LocalHref, Page, SafeText};

/// The page for an error that cannot be told to the client, only to the person.
#[derive(askama::Template)]
#[template(path = "error.html")]
pub struct Error {
    /// What failed, in a few words.
    pub title: SafeText,
    /// What happened, in a sentence.
    pub happened: SafeText,
    /// What the person can do about it.
    pub next: SafeText,
    /// The request id under which the log tells more.
    pub request_id: SafeText,
    /// Technical details, folded away; may be empty.
    pub details: Vec<Detail>,
    /// The way out, if there is one.
    pub link: Option<Link>,
}

/// A named technical value.
pub struct Detail {
    /// Its name.
    pub name: SafeText,
    /// Its value.
    pub value: SafeText,
}

/// A page that tells the person that something is done, or what to do next.
#[derive(askama::Template)]
#[template(path = "message.html")]
pub struct Message {
    /// Whether there is a success to report.
    pub tone: Tone,
    /// The news, in a few words.
    pub title: SafeText,
    /// The news, in a sentence or two.
    pub text: SafeText,
    /// The way on, if there is one.
    pub link: Option<Link>,
}

/// How a [`Message`] looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    /// Something succeeded.
    Done,
    /// Something is to be known or to be done.
    Notice,
}

/// A labelled link.
pub struct Link {
    /// What following it does.
    pub label: SafeText,
    /// Where it leads.
    pub href: LocalHref,
}

impl Page for Error {
    const FORM_ACTION: FormAction = FormAction::None_;
}

impl Page for Message {
    const FORM_ACTION: FormAction = FormAction::None_;
}
