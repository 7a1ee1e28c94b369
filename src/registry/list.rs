//! The list of servers: what is asked for, and the page of it.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use thiserror::Error;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use super::entry::{self, Entry};
use crate::{clock::Timestamp, oauth::Params};

/// What a query asks for.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct List {
    /// The id of the last entry of the page before.
    after: Option<String>,
    limit: usize,
    /// In lower case.
    search: Option<String>,
    updated_since: Option<Timestamp>,
    version: Option<String>,
}

/// Why a query is not answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub(super) enum Malformed {
    /// Broken encoding, too many parameters.
    #[error("The query is malformed")]
    Query,
    /// A parameter that came twice.
    #[error("The parameter {0} came more than once")]
    Repeated(&'static str),
    /// Not one of ours.
    #[error("The cursor is not one that this registry gave")]
    Cursor,
    /// No positive number.
    #[error("The parameter limit must be a number from 1 on")]
    Limit,
    /// No date.
    #[error("The parameter updated_since must be a date and time of RFC 3339")]
    UpdatedSince,
}

impl List {
    /// Reads a query; parameters that the API does not have are ignored.
    pub(super) fn parse(query: &str) -> Result<Self, Malformed> {
        let Ok(params) = Params::parse(query.as_bytes()) else { return Err(Malformed::Query) };
        let get = |name| match params.get(name) {
            Ok(value) => Ok(value),
            Err(_duplicate) => Err(Malformed::Repeated(name)),
        };
        let limit = match get("limit")?.map(str::parse::<u32>) {
            None => DEFAULT_LIMIT,
            Some(Ok(limit)) if limit > 0 => usize::try_from(limit).unwrap_or(MAX_LIMIT).min(MAX_LIMIT),
            Some(_) => return Err(Malformed::Limit),
        };
        Ok(Self {
            after: get("cursor")?.map(parse_cursor).transpose()?,
            limit,
            search: get("search")?.map(str::to_lowercase),
            updated_since: get("updated_since")?.map(parse_time).transpose()?,
            version: get("version")?.map(str::to_owned),
        })
    }

    /// The page that is asked for, of entries in the order of their ids.
    pub(super) fn select<'r>(&self, entries: impl Iterator<Item = Entry<'r>>) -> Value {
        let mut entries = entries
            .filter(|entry| self.after.as_deref().is_none_or(|after| entry.id() > after))
            .filter(|entry| self.fits(entry))
            .peekable();
        let (mut servers, mut last) = (Vec::new(), "");
        while servers.len() < self.limit
            && let Some(entry) = entries.next()
        {
            servers.push(entry.response());
            last = entry.id();
        }
        page(servers, entries.peek().map(|_more| URL_SAFE_NO_PAD.encode(last)))
    }

    fn fits(&self, entry: &Entry<'_>) -> bool {
        self.search.as_deref().is_none_or(|search| entry.name.to_lowercase().contains(search))
            && self.updated_since.is_none_or(|since| entry.since >= since)
            && self.version.as_deref().is_none_or(entry::is_version)
    }
}

/// A list of servers as the API gives it.
pub(super) fn page(servers: Vec<Value>, next_cursor: Option<String>) -> Value {
    let mut metadata = json!({"count": servers.len()});
    if let Some(cursor) = next_cursor {
        metadata["nextCursor"] = cursor.into();
    }
    json!({"servers": servers, "metadata": metadata})
}

fn parse_cursor(cursor: &str) -> Result<String, Malformed> {
    let id = URL_SAFE_NO_PAD.decode(cursor).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    id.ok_or(Malformed::Cursor)
}

/// A moment; the `+` of an offset may have become a space, since few clients encode it.
fn parse_time(text: &str) -> Result<Timestamp, Malformed> {
    match OffsetDateTime::parse(&text.replace(' ', "+"), &Rfc3339) {
        Ok(time) => Ok(Timestamp::from_seconds(time.unix_timestamp())),
        Err(_not_a_date) => Err(Malformed::UpdatedSince),
    }
}

/// How many servers a page has.
const DEFAULT_LIMIT: usize = 30;
/// How many servers a page has at most, whatever is asked for.
const MAX_LIMIT: usize = 100;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{routes::Route, web::Origin};

    fn routes(ids: &[&str]) -> Vec<Route> {
        let route = |id: &&str| Route {
            path: format!("/mcp/{id}"),
            operation_id: (*id).to_owned(),
            title: (*id).to_owned(),
            upstream_id: (*id).to_owned(),
            upstream_title: (*id).to_owned(),
        };
        ids.iter().map(route).collect()
    }

    fn select(routes: &[Route], query: &str) -> (Vec<String>, Option<String>) {
        let origin = Origin::parse("https://gw.example").unwrap();
        let entries = routes.iter().map(|route| Entry::of(route, &origin, Timestamp::from_seconds(1_000_000_000)));
        let page = List::parse(query).unwrap().select(entries);
        let name = |server: &Value| server["server"]["name"].as_str().unwrap().to_owned();
        let names: Vec<_> = page["servers"].as_array().unwrap().iter().map(name).collect();
        assert_eq!(page["metadata"]["count"], names.len());
        (names, page["metadata"].get("nextCursor").map(|cursor| cursor.as_str().unwrap().to_owned()))
    }

    #[test]
    fn filters_are_by_name_time_and_version() {
        let routes = routes(&["Docs", "git"]);
        for (query, expected) in [
            ("", 2),
            ("search=GIT", 1),
            ("search=example.gw%2Fd", 1),
            ("search=nothing", 0),
            ("version=latest", 2),
            ("version=1.0.0", 2),
            ("version=0.9.0", 0),
            ("updated_since=2001-09-09T01:46:40Z", 2),
            ("updated_since=2001-09-09T03:46:41+02:00", 0),
            ("updated_since=2001-09-09T03:46:40%2B02:00", 2),
            ("include_deleted=true&search=", 2),
            ("limit=1000", 2),
        ] {
            assert_eq!(select(&routes, query).0.len(), expected, "{query}");
        }
    }

    #[test]
    fn malformed_queries_say_what_is_wrong() {
        for (query, expected) in [
            ("limit=0", Malformed::Limit),
            ("limit=-1", Malformed::Limit),
            ("limit=ten", Malformed::Limit),
            ("limit=1&limit=2", Malformed::Repeated("limit")),
            ("cursor=%25", Malformed::Cursor),
            ("cursor=_w", Malformed::Cursor),
            ("updated_since=yesterday", Malformed::UpdatedSince),
            ("search=%FF", Malformed::Query),
        ] {
            assert_eq!(List::parse(query), Err(expected), "{query}");
        }
    }

    /// The entry that a cursor names may be gone at the next start.
    #[test]
    fn a_cursor_outlives_its_entry() {
        let (first, cursor) = select(&routes(&["a", "b", "c"]), "limit=2");
        assert_eq!(first, ["example.gw/a", "example.gw/b"]);
        let (second, end) = select(&routes(&["a", "c", "d"]), &format!("cursor={}", cursor.unwrap()));
        assert_eq!((second, end), (vec!["example.gw/c".to_owned(), "example.gw/d".to_owned()], None));
    }

    proptest! {
        #[test]
        fn pages_of_any_length_give_the_whole_list(count in 0_usize..30, limit in 1_usize..40) {
            let ids: Vec<_> = (0..count).map(|index| format!("r{index:02}")).collect();
            let routes = routes(&ids.iter().map(String::as_str).collect::<Vec<_>>());
            let (mut seen, mut cursor) = (Vec::new(), String::new());
            for _ in 0..=count {
                let (names, next) = select(&routes, &format!("limit={limit}&cursor={cursor}"));
                prop_assert!(names.len() <= limit);
                seen.extend(names);
                match next {
                    Some(next) => cursor = next,
                    None => break,
                }
            }
            prop_assert_eq!(seen, ids.iter().map(|id| format!("example.gw/{id}")).collect::<Vec<_>>());
        }
    }
}
