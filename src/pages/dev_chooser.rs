//! The choice of a development user, in place of an identity provider.

use super::{FormAction, LocalHref, Page, SafeText};

/// Lists the development users; following a link signs in as that user.
#[derive(askama::Template)]
#[template(path = "dev_chooser.html")]
pub struct DevChooser {
    /// The users to choose from.
    pub users: Vec<DevUser>,
}

/// A development user.
pub struct DevUser {
    /// The user's name.
    pub name: SafeText,
    /// Signs in as this user.
    pub sign_in: LocalHref,
}

impl Page for DevChooser {
    const FORM_ACTION: FormAction = FormAction::None_;
}
