//! `routes[].access`: who may use a route.

use crate::config::at::{At, State};
use crate::config::check::Check;
use crate::config::file;
use crate::config::parse;

/// Who may use a route, by the claims of the identity provider.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Access {
    /// One of these must fit; everybody may if there is none.
    pub allow: Option<Vec<ClaimRule>>,
    /// None of these may fit.
    pub deny: Vec<ClaimRule>,
}

/// Fits users of whom a claim has one of some values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimRule {
    /// The claim: a name, or names with dots between them.
    pub claim: String,
    /// The values; at least one.
    pub any_of: Vec<String>,
}

impl Access {
    /// Checks the section.
    pub fn check(file: &file::Access, check: &mut Check) -> Self {
        Self {
            allow: (!matches!(file.allow.state, State::Absent)).then(|| rules(&file.allow, check)),
            deny: rules(&file.deny, check),
        }
    }
}

fn rules(at: &At<Vec<file::ClaimRule>>, check: &mut Check) -> Vec<ClaimRule> {
    let mut rules = Vec::new();
    for rule in check.list(at) {
        check.require(&rule.claim, "the name of a claim, such as groups");
        check.require(&rule.any_of, "a list of values");
        let (claim, any_of) = (check.text(&rule.claim), check.parse_list(&rule.any_of, parse::line));
        if rule.any_of.get().is_some_and(Vec::is_empty) {
            check.invalid(&rule.any_of, "at least one value");
        }
        rules.push(ClaimRule { claim: claim.unwrap_or_default(), any_of });
    }
    rules
}
