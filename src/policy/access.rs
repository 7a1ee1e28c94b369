//! Who may use a route, by the claims of the user.

use crate::resource_server::{ClaimPath, Claims};

/// Who may use a route.
#[derive(Debug, Clone, Default)]
pub struct Access {
    /// One of these must fit; everybody may if there is none.
    pub allow: Option<Vec<Rule>>,
    /// None of these may fit.
    pub deny: Vec<Rule>,
}

/// Fits users of whom a claim has one of some values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// The claim.
    pub claim: ClaimPath,
    /// The values.
    pub any_of: Vec<String>,
}

impl Access {
    /// Whether a user with these claims may use the route.
    pub fn admits(&self, claims: &Claims) -> bool {
        let fits = |rule: &Rule| claims.has_any(&rule.claim, &rule.any_of);
        self.allow.as_ref().is_none_or(|rules| rules.iter().any(fits)) && !self.deny.iter().any(fits)
    }

    /// Whether there is nobody who may not use the route.
    pub const fn is_for_everybody(&self) -> bool {
        self.allow.is_none() && self.deny.is_empty()
    }

    /// The claims that the rules look at.
    pub fn claim_paths(&self) -> impl Iterator<Item = &ClaimPath> {
        self.allow.iter().flatten().chain(&self.deny).map(|rule| &rule.claim)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn rule(claim: &str, values: &[&str]) -> Rule {
        Rule { claim: ClaimPath::new(claim), any_of: values.iter().map(|value| (*value).to_owned()).collect() }
    }

    #[test]
    fn a_denial_wins_and_what_is_not_allowed_is_denied() {
        let access = Access {
            allow: Some(vec![rule("groups", &["a", "b"]), rule("email", &["x@y"])]),
            deny: vec![rule("groups", &["out"])],
        };
        let admits = |access: &Access, claims: serde_json::Value| {
            let paths: Vec<_> = access.claim_paths().cloned().collect();
            access.admits(&Claims::of(&paths, claims.as_object().unwrap()))
        };
        assert!(admits(&access, json!({"groups": ["b", "c"]})));
        assert!(admits(&access, json!({"email": "x@y"})));
        assert!(!admits(&access, json!({"groups": ["b", "out"]})));
        assert!(!admits(&access, json!({"groups": ["B"]})));
        assert!(!admits(&access, json!({})));
        assert!(admits(&Access::default(), json!({})));
        let nobody = Access { allow: Some(Vec::new()), deny: Vec::new() };
        assert!(!admits(&nobody, json!({"groups": ["a"]})));
    }
}
