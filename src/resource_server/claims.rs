//! What the identity provider says of a user, as far as a route's policy asks for it.

use std::{collections::HashMap, sync::Arc};

use serde_json::{Map, Value};

/// Where a claim stands: a name, or names with dots between them, from the outside in.
///
/// A claim may have dots in its own name (`https://example.com/roles`), so a name is tried as a whole first.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClaimPath(String);

/// The claims that each route's policy asks for, by operation id.
#[derive(Debug, Clone, Default)]
pub struct ClaimPaths(HashMap<String, Arc<[ClaimPath]>>);

/// The values of the claims that one route asks for, of one user.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Claims(Box<[Claim]>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Claim {
    path: ClaimPath,
    values: Box<[Box<str>]>,
}

impl ClaimPath {
    /// The claim at this path.
    pub fn new(path: &str) -> Self {
        Self(path.to_owned())
    }

    /// The path.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The values of the claim: one for a text, a number or a truth value, and each of those in a list.
    fn values(&self, claims: &Map<String, Value>) -> Box<[Box<str>]> {
        let scalar = |value: &Value| match value {
            Value::String(text) => Some(text.as_str().into()),
            Value::Number(number) => Some(number.to_string().into()),
            Value::Bool(truth) => Some(truth.to_string().into()),
            Value::Null | Value::Array(_) | Value::Object(_) => None,
        };
        match find(claims, &self.0) {
            Some(Value::Array(list)) => list.iter().filter_map(scalar).collect(),
            Some(value) => scalar(value).into_iter().collect(),
            None => Box::default(),
        }
    }
}

impl ClaimPaths {
    /// The paths of these routes.
    pub fn new(routes: impl IntoIterator<Item = (String, Vec<ClaimPath>)>) -> Self {
        let paths = |(operation_id, mut paths): (String, Vec<ClaimPath>)| {
            paths.sort_unstable();
            paths.dedup();
            (operation_id, paths.into())
        };
        Self(routes.into_iter().map(paths).filter(|(_, paths): &(_, Arc<[ClaimPath]>)| !paths.is_empty()).collect())
    }

    /// What the policy of a route asks for of a user's claims, a JSON object; nothing of what is none.
    pub(super) fn project(&self, operation_id: &str, claims: &str) -> Claims {
        match self.0.get(operation_id) {
            Some(paths) => Claims::of(paths, &serde_json::from_str(claims).unwrap_or_default()),
            None => Claims::default(),
        }
    }
}

impl Claims {
    /// The claims at these paths.
    pub fn of(paths: &[ClaimPath], claims: &Map<String, Value>) -> Self {
        Self(paths.iter().map(|path| Claim { path: path.clone(), values: path.values(claims) }).collect())
    }

    /// The values of one claim.
    pub fn values(&self, path: &ClaimPath) -> &[Box<str>] {
        self.0.iter().find(|claim| claim.path == *path).map_or(&[], |claim| &claim.values)
    }

    /// Whether one of the claim's values is among these.
    pub fn has_any(&self, path: &ClaimPath, wanted: &[String]) -> bool {
        self.values(path).iter().any(|value| wanted.iter().any(|wanted| **wanted == **value))
    }
}

fn find<'v>(claims: &'v Map<String, Value>, path: &str) -> Option<&'v Value> {
    let whole = claims.get(path);
    whole.or_else(|| {
        path.match_indices('.').find_map(|(dot, _)| match claims.get(&path[..dot]) {
            Some(Value::Object(inner)) => find(inner, &path[dot + 1..]),
            _ => None,
        })
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn claims_are_found_under_any_name_and_of_any_form() {
        let claims = json!({
            "groups": ["a", "b", 7, null, {"x": 1}],
            "role": "admin",
            "https://example.com/roles": ["namespaced"],
            "realm_access": {"roles": ["inner"], "a.b": {"c": true}},
            "realm_access.roles": ["whole"],
            "empty": [],
        });
        let claims = claims.as_object().unwrap();
        for (path, expected) in [
            ("groups", vec!["a", "b", "7"]),
            ("role", vec!["admin"]),
            ("https://example.com/roles", vec!["namespaced"]),
            ("realm_access.roles", vec!["whole"]),
            ("realm_access.a.b.c", vec!["true"]),
            ("realm_access", vec![]),
            ("empty", vec![]),
            ("absent.path", vec![]),
            ("", vec![]),
        ] {
            let path = ClaimPath::new(path);
            let values: Vec<_> = path.values(claims).iter().map(ToString::to_string).collect();
            assert_eq!(values, expected, "{path:?}");
        }
    }

    #[test]
    fn a_route_gets_only_what_it_asks_for() {
        let paths = ClaimPaths::new([("a".to_owned(), vec![ClaimPath::new("groups"), ClaimPath::new("groups")])]);
        let claims = paths.project("a", r#"{"groups":["x"],"email":"ada@example.com"}"#);
        assert!(claims.has_any(&ClaimPath::new("groups"), &["y".to_owned(), "x".to_owned()]));
        assert!(!claims.has_any(&ClaimPath::new("email"), &["ada@example.com".to_owned()]));
        assert_eq!(paths.project("b", r#"{"groups":["x"]}"#), Claims::default());
        assert!(paths.project("a", "nonsense").values(&ClaimPath::new("groups")).is_empty());
    }
}
