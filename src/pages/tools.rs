//! Tools whose definition changed, with what changed, and what was decided: for administrators.

use super::{Form, FormAction, LocalHref, Page, SafeText, User};

/// The page of the tools.
#[derive(askama::Template)]
#[template(path = "tools.html")]
pub struct Tools {
    /// Who is signed in.
    pub user: User,
    /// Where the sign-in can be ended.
    pub sign_out: LocalHref,
    /// The analytics page.
    pub board: LocalHref,
    /// The changes that wait.
    pub changed: Vec<ChangedTool>,
    /// What was decided last.
    pub decided: Vec<DecidedTool>,
}

/// A tool with a definition that waits for a decision.
pub struct ChangedTool {
    /// Its id on the page.
    pub id: String,
    /// Its name.
    pub name: SafeText,
    /// The route.
    pub route: SafeText,
    /// Whether it is hidden meanwhile.
    pub hidden: bool,
    /// When the old definition was first seen.
    pub seen: SafeText,
    /// When the new one was.
    pub changed: SafeText,
    /// Both definitions, line by line.
    pub lines: Vec<DiffLine>,
    /// Whether one of them is too long to be shown whole.
    pub cut: bool,
    /// Lets the new definition count.
    pub accept: Form,
    /// Lets the old one count.
    pub keep: Form,
}

/// A line of a definition.
pub struct DiffLine {
    /// Which definition it is of.
    pub side: Side,
    /// What it says.
    pub text: SafeText,
}

/// Which definition a line is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The one that counts.
    Old,
    /// The one that waits.
    New,
    /// Both.
    Both,
}

/// A decision.
pub struct DecidedTool {
    /// The tool.
    pub name: SafeText,
    /// The route.
    pub route: SafeText,
    /// Whether the new definition counts.
    pub accepted: bool,
    /// Who decided.
    pub by: SafeText,
    /// When.
    pub at: SafeText,
}

impl Page for Tools {
    const FORM_ACTION: FormAction = FormAction::SelfOnly;
}
