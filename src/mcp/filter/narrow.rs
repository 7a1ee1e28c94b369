//! What an upstream sends, narrowed to what there is for the caller.
//!
//! A message is judged by its shape, not by the request that it answers: a stream that is resumed answers requests that
//! nobody here remembers.

use std::ops::Range;

use serde_json::{Map, Value};

use super::{
    block,
    edit::{Edits, Elements},
    request::subscriptions,
    scan::{Malformed, Names, Scanner},
    view::{Item, Kind, Projection, View},
};
use crate::mcp::{Code, RequestId, error_response};

/// What becomes of a message of an upstream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Narrowed {
    /// It passes as it is.
    Unchanged,
    /// It passes as this.
    Changed(String),
    /// It does not pass.
    Dropped,
}

enum Fate {
    Kept,
    Replaced(String),
    Dropped,
}

/// Narrows one message, or a batch of them.
pub fn narrow<V: View>(text: &str, view: &V) -> Result<Narrowed, Malformed> {
    let mut scanner = Scanner::new(text);
    let mut edits = Edits::default();
    if scanner.peek() == b'[' {
        let mut messages = Elements::default();
        scanner.array(|scanner| {
            let mut inner = Edits::default();
            let start = scanner.position();
            let fate = message(scanner, view, &mut inner)?;
            let whole = start..scanner.position_behind();
            match fate {
                Fate::Kept => messages.keep_with(&whole, inner, &mut edits),
                Fate::Replaced(text) => messages.keep_with(&whole, Edits::one(whole.clone(), text), &mut edits),
                Fate::Dropped => messages.drop(&whole, &mut edits),
            }
            Ok(())
        })?;
        scanner.end()?;
        if messages.end(&mut edits) == 0 {
            return Ok(Narrowed::Dropped);
        }
    } else {
        let fate = message(&mut scanner, view, &mut edits)?;
        scanner.end()?;
        match fate {
            Fate::Kept => {}
            Fate::Replaced(text) => return Ok(Narrowed::Changed(text)),
            Fate::Dropped => return Ok(Narrowed::Dropped),
        }
    }
    Ok(if edits.is_empty() { Narrowed::Unchanged } else { Narrowed::Changed(edits.apply(text)) })
}

fn message<V: View>(scanner: &mut Scanner<'_>, view: &V, edits: &mut Edits) -> Result<Fate, Malformed> {
    let mut names = Names::new(["jsonrpc", "id", "method", "params", "result", "error"]);
    let (mut id, mut method, mut params) = (None, None, None);
    let mut complete = true;
    scanner.object(|scanner, name| {
        match names.find(name)? {
            Some("id") => {
                let range = scanner.value()?;
                id = Some(scanner.slice(range));
            }
            Some("method") => method = Some(scanner.string()?.decode()?),
            Some("params") => params = Some(scanner.value()?),
            Some("result") if scanner.peek() == b'{' => complete = result(scanner, view, edits)?,
            _ => scanner.skip()?,
        }
        Ok(())
    })?;
    let Some(method) = method else {
        return Ok(match id.and_then(|id| serde_json::from_str::<RequestId>(id).ok()) {
            Some(id) if !complete => Fate::Replaced(no_contents(&id)),
            None if !complete => Fate::Dropped,
            _ => Fate::Kept,
        });
    };
    if !edits.is_empty() || !complete {
        // Both a call and its answer: nothing that a peer could have meant.
        return Err(Malformed);
    }
    if id.is_some() {
        let known = matches!(&*method, "ping" | "roots/list" | "sampling/createMessage" | "elicitation/create");
        return Ok(if known || view.passes_method(&method) { Fate::Kept } else { Fate::Dropped });
    }
    let shown = notification(scanner, &method, params, view, edits)?;
    Ok(if shown { Fate::Kept } else { Fate::Dropped })
}

fn notification<V: View>(
    text: &Scanner<'_>,
    method: &str,
    params: Option<Range<usize>>,
    view: &V,
    edits: &mut Edits,
) -> Result<bool, Malformed> {
    Ok(match method {
        "notifications/cancelled"
        | "notifications/elicitation/complete"
        | "notifications/message"
        | "notifications/progress" => true,
        "notifications/tools/list_changed" => view.shows_any(Kind::Tool),
        "notifications/prompts/list_changed" => view.shows_any(Kind::Prompt),
        "notifications/resources/list_changed" => {
            view.shows_any(Kind::Resource) || view.shows_any(Kind::ResourceTemplate)
        }
        "notifications/resources/updated" => match params {
            Some(params) => updated(&mut text.part(params), view)?,
            None => false,
        },
        "notifications/subscriptions/acknowledged" => {
            if let Some(params) = params {
                acknowledged(text, params, view, edits)?;
            }
            true
        }
        other => view.passes_method(other),
    })
}

/// Whether the URI that an update is about may be seen.
fn updated<V: View>(params: &mut Scanner<'_>, view: &V) -> Result<bool, Malformed> {
    let mut names = Names::new(["uri"]);
    let mut shown = false;
    params.object(|scanner, name| {
        match names.find(name)? {
            Some(_) => shown = view.shows_uri(&scanner.string()?.decode()?),
            None => scanner.skip()?,
        }
        Ok(())
    })?;
    Ok(shown)
}

/// Leaves of what was subscribed to only what may be seen.
fn acknowledged<V: View>(
    text: &Scanner<'_>,
    params: Range<usize>,
    view: &V,
    edits: &mut Edits,
) -> Result<(), Malformed> {
    let mut names = Names::new(["notifications"]);
    let mut notifications = None;
    text.part(params).object(|scanner, name| {
        let found = names.find(name)?;
        let value = scanner.value()?;
        if found.is_some() {
            notifications = Some(value);
        }
        Ok(())
    })?;
    let Some(notifications) = notifications else { return Ok(()) };
    let mut kept = Elements::default();
    subscriptions(&text.part(notifications), |element, uri| {
        if view.shows_uri(uri) { kept.keep(&element, edits) } else { kept.drop(&element, edits) }
    })?;
    kept.end(edits);
    Ok(())
}

/// Takes a result; false if it had contents and none of them may be seen.
fn result<V: View>(scanner: &mut Scanner<'_>, view: &V, edits: &mut Edits) -> Result<bool, Malformed> {
    let mut names = Names::new([
        "tools",
        "prompts",
        "resources",
        "resourceTemplates",
        "content",
        "contents",
        "messages",
        "cacheScope",
        "ttlMs",
        "capabilities",
    ]);
    let mut complete = true;
    scanner.object(|scanner, name| {
        let found = names.find(name)?;
        let is_list = scanner.peek() == b'[';
        match found {
            Some("tools") if is_list => list(scanner, Kind::Tool, view, edits)?,
            Some("prompts") if is_list => list(scanner, Kind::Prompt, view, edits)?,
            Some("resources") if is_list => list(scanner, Kind::Resource, view, edits)?,
            Some("resourceTemplates") if is_list => list(scanner, Kind::ResourceTemplate, view, edits)?,
            Some("content" | "messages") if is_list && view.hides_uris() => {
                blocks(scanner, edits, |scanner| block::is_shown(scanner, view))?;
            }
            Some("contents") if is_list && view.hides_uris() => {
                let (all, kept) = blocks(scanner, edits, |scanner| block::is_shown(scanner, view))?;
                complete = all == 0 || kept > 0;
            }
            Some("cacheScope") if scanner.peek() == b'"' && view.is_private() => {
                let start = scanner.position();
                if !scanner.string()?.is("private") {
                    edits.replace(start..scanner.position_behind(), "\"private\"".to_owned());
                }
            }
            Some("ttlMs") if scanner.peek().is_ascii_digit() => {
                let place = scanner.value()?;
                if scanner.slice(place.clone()).parse::<f64>().is_ok_and(|ttl| ttl > f64::from(MAX_TTL_MS)) {
                    edits.replace(place, MAX_TTL_MS.to_string());
                }
            }
            Some("capabilities") if scanner.peek() == b'{' => capabilities(scanner, view, edits)?,
            _ => scanner.skip()?,
        }
        Ok(())
    })?;
    Ok(complete)
}

/// Takes what a server says it can do, and leaves out what does not pass: tasks, whose methods are unknown here.
fn capabilities<V: View>(scanner: &mut Scanner<'_>, view: &V, edits: &mut Edits) -> Result<(), Malformed> {
    if view.passes_method("tasks/get") {
        return scanner.skip();
    }
    let mut names = Names::new(["tasks", "extensions"]);
    let mut kept = Elements::default();
    scanner.object(|scanner, name| {
        let start = name.position();
        match names.find(name)? {
            Some("tasks") => {
                let value = scanner.value()?;
                kept.drop(&(start..value.end), edits);
            }
            Some("extensions") if scanner.peek() == b'{' => {
                let mut inner = Edits::default();
                extensions(scanner, &mut inner)?;
                kept.keep_with(&(start..scanner.position_behind()), inner, edits);
            }
            _ => {
                let value = scanner.value()?;
                kept.keep(&(start..value.end), edits);
            }
        }
        Ok(())
    })?;
    kept.end(edits);
    Ok(())
}

fn extensions(scanner: &mut Scanner<'_>, edits: &mut Edits) -> Result<(), Malformed> {
    let mut names = Names::new(["io.modelcontextprotocol/tasks"]);
    let mut kept = Elements::default();
    scanner.object(|scanner, name| {
        let found = names.find(name)?;
        let value = scanner.value()?;
        let member = name.position()..value.end;
        if found.is_some() {
            kept.drop(&member, edits);
        } else {
            kept.keep(&member, edits);
        }
        Ok(())
    })?;
    kept.end(edits);
    Ok(())
}

/// Takes an array and leaves out what is not shown; how many elements there were, and how many were kept.
fn blocks<'t>(
    scanner: &mut Scanner<'t>,
    edits: &mut Edits,
    mut is_shown: impl FnMut(&mut Scanner<'t>) -> Result<bool, Malformed>,
) -> Result<(usize, usize), Malformed> {
    let (mut elements, mut all) = (Elements::default(), 0);
    scanner.array(|scanner| {
        let start = scanner.position();
        let shown = is_shown(scanner)?;
        let element = start..scanner.position_behind();
        all += 1;
        if shown {
            elements.keep(&element, edits);
        } else {
            elements.drop(&element, edits);
        }
        Ok(())
    })?;
    Ok((all, elements.end(edits)))
}

/// Takes a list of items of one kind.
fn list<V: View>(scanner: &mut Scanner<'_>, kind: Kind, view: &V, edits: &mut Edits) -> Result<(), Malformed> {
    let mut kept = Elements::default();
    scanner.array(|scanner| {
        if kind == Kind::Tool
            && let Some((name, length)) = view.known_tool(scanner.rest())
        {
            let item = view.item(kind, name);
            if !matches!(item, Item::Projected(_)) {
                let element = scanner.take(length);
                if item == Item::Whole {
                    kept.keep(&element, edits);
                } else {
                    kept.drop(&element, edits);
                }
                return Ok(());
            }
        }
        let start = scanner.position();
        let members = Members::scan(scanner)?;
        let element = start..scanner.position_behind();
        let key = members.key(kind, scanner)?;
        let item = key.as_deref().map_or(Item::Hidden, |key| view.item(kind, key));
        let definition = scanner.slice(element.clone());
        // What the caller cannot see is no definition that anybody relies on.
        let accepted = item != Item::Hidden
            && (kind != Kind::Tool || key.as_deref().is_some_and(|name| view.accepts_tool(name, definition)));
        match item {
            Item::Whole if accepted => kept.keep(&element, edits),
            Item::Projected(projection) if accepted => {
                kept.keep_with(&element, members.project(projection, &element, scanner), edits);
            }
            _ => kept.drop(&element, edits),
        }
        Ok(())
    })?;
    kept.end(edits);
    Ok(())
}

/// Where the members of an item stand.
#[derive(Default)]
struct Members {
    name: Option<Range<usize>>,
    uri: Option<Range<usize>>,
    uri_template: Option<Range<usize>>,
    description: Option<Range<usize>>,
    mime_type: Option<Range<usize>>,
    annotations: Option<Range<usize>>,
    meta: Option<Range<usize>>,
}

impl Members {
    fn scan(scanner: &mut Scanner<'_>) -> Result<Self, Malformed> {
        let mut names = Names::new(["name", "uri", "uriTemplate", "description", "mimeType", "annotations", "_meta"]);
        let mut members = Self::default();
        scanner.object(|scanner, name| {
            let found = names.find(name)?;
            let value = scanner.value()?;
            let member = match found {
                Some("name") => &mut members.name,
                Some("uri") => &mut members.uri,
                Some("uriTemplate") => &mut members.uri_template,
                Some("description") => &mut members.description,
                Some("mimeType") => &mut members.mime_type,
                Some("annotations") => &mut members.annotations,
                Some("_meta") => &mut members.meta,
                _ => return Ok(()),
            };
            *member = Some(value);
            Ok(())
        })?;
        Ok(members)
    }

    /// What names the item; none if it has no name.
    fn key<'t>(&self, kind: Kind, text: &Scanner<'t>) -> Result<Option<std::borrow::Cow<'t, str>>, Malformed> {
        let place = match kind {
            Kind::Tool | Kind::Prompt => &self.name,
            Kind::Resource => &self.uri,
            Kind::ResourceTemplate => &self.uri_template,
        };
        match place {
            Some(place) if text.part(place.clone()).peek() == b'"' => {
                text.part(place.clone()).string()?.decode().map(Some)
            }
            _ => Ok(None),
        }
    }

    /// The edits that a projection makes.
    fn project(&self, projection: &Projection, item: &Range<usize>, text: &Scanner<'_>) -> Edits {
        let Projection { name, description, mime_type, annotations, meta } = projection;
        let merged = |place: &Option<Range<usize>>, over: &Option<Map<String, Value>>| {
            let over = over.as_ref()?;
            let base = place.clone().and_then(|place| serde_json::from_str(text.slice(place)).ok());
            Some(Value::Object(merge(base.unwrap_or_default(), over)).to_string())
        };
        let mut parts = [
            ("name", &self.name, name.clone()),
            ("description", &self.description, description.clone()),
            ("mimeType", &self.mime_type, mime_type.clone()),
            ("annotations", &self.annotations, merged(&self.annotations, annotations)),
            ("_meta", &self.meta, merged(&self.meta, meta)),
        ];
        // What is not there yet goes to the end, behind the members that are.
        let end = item.end.saturating_sub(1);
        parts.sort_by_key(|(_, place, _)| place.as_ref().map_or(end, |place| place.start));
        let mut edits = Edits::default();
        for (member, place, text) in parts {
            match (place, text) {
                (Some(place), Some(text)) => edits.replace(place.clone(), text),
                (None, Some(text)) => edits.replace(end..end, format!(",\"{member}\":{text}")),
                (_, None) => {}
            }
        }
        edits
    }
}

/// Objects are merged into objects; everything else replaces what was there.
fn merge(mut base: Map<String, Value>, over: &Map<String, Value>) -> Map<String, Value> {
    for (name, value) in over {
        let merged = match (base.remove(name), value) {
            (Some(Value::Object(base)), Value::Object(over)) => Value::Object(merge(base, over)),
            _ => value.clone(),
        };
        base.insert(name.clone(), merged);
    }
    base
}

/// The answer in place of a result of which nothing may be seen.
fn no_contents(id: &RequestId) -> String {
    error_response(Some(id), Code::INVALID_PARAMS, "Resource not found", None)
}

/// How long a client may keep what depends on a policy (`ttlMs`): a change of the policy is seen after that at the latest.
const MAX_TTL_MS: u32 = 300_000;
