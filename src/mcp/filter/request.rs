//! What a client sends, read strictly and judged by what there is for it.

use std::{borrow::Cow, ops::Range};

use http::StatusCode;
use serde_json::json;
use thiserror::Error;

use super::{
    edit::{Edits, Elements},
    scan::{Malformed, Names, Scanner},
    view::{Item, Kind, View},
};
use crate::mcp::{
    Code, Era, Head, RequestId, Version, error_response,
    modern::{self, CLIENT_CAPABILITIES, Claims, Misfit, PROTOCOL_VERSION},
};

/// The body of a POST: one message, or a batch of them, which only revision 2025-03-26 knows.
#[derive(Debug)]
pub enum Batch<'t> {
    /// One message.
    One(Request<'t>),
    /// A batch.
    Many(Vec<Request<'t>>),
}

/// One message of a client; only what decisions are taken on is looked into, everything else is checked to be JSON.
#[derive(Debug)]
pub struct Request<'t> {
    /// To be echoed; none for a notification. A response has the id of what it answers.
    pub id: Option<RequestId>,
    /// None if the message is a response.
    pub method: Option<Cow<'t, str>>,
    params: Params<'t>,
}

#[derive(Debug, Default)]
struct Params<'t> {
    name: Option<Cow<'t, str>>,
    uri: Option<Cow<'t, str>>,
    reference: Option<Reference<'t>>,
    notifications: Option<Range<usize>>,
    arguments: Option<Range<usize>>,
    version: Option<Cow<'t, str>>,
    has_capabilities: bool,
}

/// What a completion is for.
#[derive(Debug)]
struct Reference<'t> {
    name: Option<Cow<'t, str>>,
    uri: Option<Cow<'t, str>>,
}

/// What a request is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subject<'r> {
    /// Nothing that could be hidden.
    Nothing,
    /// A tool.
    Tool(&'r str),
    /// A prompt.
    Prompt(&'r str),
    /// The contents behind a URI.
    Uri(&'r str),
    /// A resource or a template, to complete its URI.
    Template(&'r str),
    /// Several URIs, to be told of their changes.
    Listening,
    /// Nobody knows.
    Unknown,
    /// A parameter is missing.
    Incomplete,
}

/// Why a body is not read any further.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Unreadable {
    /// Not UTF-8.
    #[error("the body is not UTF-8")]
    NotText,
    /// Not JSON that everybody reads alike.
    #[error(transparent)]
    NotJson(#[from] Malformed),
    /// No JSON-RPC message, or no batch of a few of them.
    #[error("the body is not a JSON-RPC message")]
    NotAMessage,
}

/// Why a message does not pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// There is no such thing for this caller, which is also what a hidden one looks like.
    NoSuch(Kind, String),
    /// There is no such method here.
    NoSuchMethod,
    /// A parameter is missing.
    Incomplete,
    /// The message breaks a rule of the modern era.
    Misfit(Misfit),
    /// An answer of a client, which the modern era does not have.
    Response,
}

impl<'t> Batch<'t> {
    /// Reads a body.
    pub fn parse(body: &'t [u8]) -> Result<Self, Unreadable> {
        // The one check that everything after it relies on: offsets, slices and texts are those of valid UTF-8.
        let Ok(text) = std::str::from_utf8(body) else { return Err(Unreadable::NotText) };
        let mut scanner = Scanner::new(text);
        let batch = if scanner.peek() == b'[' {
            let mut requests = Vec::new();
            scanner.array(|scanner| {
                // Whatever is no message here ends the reading; which fault it was is the same to the client.
                let request = Request::scan(scanner, text).or(Err(Malformed))?;
                requests.push(request);
                if requests.len() > MAX_BATCH { Err(Malformed) } else { Ok(()) }
            })?;
            if requests.is_empty() {
                return Err(Unreadable::NotAMessage);
            }
            Self::Many(requests)
        } else {
            Self::One(Request::scan(&mut scanner, text)?)
        };
        scanner.end()?;
        Ok(batch)
    }

    /// The messages.
    pub fn messages(&self) -> &[Request<'t>] {
        match self {
            Self::One(request) => std::slice::from_ref(request),
            Self::Many(requests) => requests,
        }
    }
}

impl<'t> Request<'t> {
    fn scan(scanner: &mut Scanner<'t>, text: &'t str) -> Result<Self, Unreadable> {
        if scanner.peek() != b'{' {
            return Err(Unreadable::NotAMessage);
        }
        let mut names = Names::new(["jsonrpc", "id", "method", "params", "result", "error"]);
        let (mut speaks, mut id, mut method, mut params) = (false, None, None, None);
        let (mut result, mut error) = (false, false);
        scanner.object(|scanner, name| {
            match names.find(name)? {
                Some("jsonrpc") if scanner.peek() == b'"' => speaks = scanner.string()?.is("2.0"),
                Some("id") => {
                    let range = scanner.value()?;
                    id = Some(scanner.slice(range));
                }
                Some("method") => method = Some(scanner.string()?.decode()?),
                Some("params") => {
                    let mut read = Params::default();
                    read.scan(scanner, text)?;
                    params = Some(read);
                }
                Some(other) => {
                    result |= other == "result";
                    error |= other == "error";
                    scanner.skip()?;
                }
                None => scanner.skip()?,
            }
            Ok(())
        })?;
        let id = match id.map(serde_json::from_str) {
            None => None,
            Some(Ok(id)) => Some(id),
            Some(Err(_)) => return Err(Unreadable::NotAMessage),
        };
        let is_message = match &method {
            Some(_) => !result && !error,
            None => id.is_some() && result != error,
        };
        if !speaks || !is_message {
            return Err(Unreadable::NotAMessage);
        }
        Ok(Self { id, method, params: params.unwrap_or_default() })
    }

    /// What the request is about, by its method.
    pub fn subject(&self) -> Subject<'_> {
        let Some(method) = &self.method else { return Subject::Nothing };
        let params = &self.params;
        let subject = match &**method {
            "initialize"
            | "ping"
            | "logging/setLevel"
            | "server/discover"
            | "tools/list"
            | "prompts/list"
            | "resources/list"
            | "resources/templates/list"
            | "notifications/initialized"
            | "notifications/cancelled"
            | "notifications/progress"
            | "notifications/roots/list_changed" => Some(Subject::Nothing),
            "tools/call" => params.name.as_deref().map(Subject::Tool),
            "prompts/get" => params.name.as_deref().map(Subject::Prompt),
            "resources/read" | "resources/subscribe" | "resources/unsubscribe" => {
                params.uri.as_deref().map(Subject::Uri)
            }
            "completion/complete" => match &params.reference {
                Some(Reference { name: Some(name), uri: None }) => Some(Subject::Prompt(name)),
                Some(Reference { name: None, uri: Some(uri) }) => Some(Subject::Template(uri)),
                _ => None,
            },
            "subscriptions/listen" => Some(Subject::Listening),
            _ => Some(Subject::Unknown),
        };
        subject.unwrap_or(Subject::Incomplete)
    }

    /// Where the arguments of a tool call stand in the body.
    pub fn arguments(&self) -> Option<Range<usize>> {
        self.params.arguments.clone()
    }

    /// Whether an answer to this alone may tell of something that could be hidden.
    pub fn asks_for_hideable(&self, view: &impl View) -> bool {
        match self.method.as_deref() {
            Some("tools/call" | "prompts/get" | "resources/read") => view.hides_uris() || view.is_private(),
            Some(
                "ping" | "logging/setLevel" | "completion/complete" | "resources/subscribe" | "resources/unsubscribe",
            ) => false,
            _ => true,
        }
    }

    /// Checks that headers and body agree on the era and, in the modern one, on everything that both say.
    pub fn check_era(&self, head: &Head<'_>) -> Result<(), Refusal> {
        let version = self.params.version.as_deref();
        if head.era() == Era::Legacy {
            let claims_modern = version.and_then(|version| version.parse::<Version>().ok());
            if claims_modern.is_some_and(|version| version.era() == Era::Modern) {
                return Err(Refusal::Misfit(Misfit::Header("MCP-Protocol-Version")));
            }
            return Ok(());
        }
        let Some(method) = &self.method else { return Err(Refusal::Response) };
        if self.id.is_none() {
            let agrees = head.method.is_none_or(|claimed| claimed == method);
            return if agrees { Ok(()) } else { Err(Refusal::Misfit(Misfit::Header("Mcp-Method"))) };
        }
        let name = match self.subject() {
            Subject::Tool(name) | Subject::Prompt(name) | Subject::Uri(name) => Some(name),
            _ => None,
        };
        let claims = Claims { method, version, has_capabilities: self.params.has_capabilities, name };
        modern::check_claims(head, &claims).map_err(Refusal::Misfit)
    }
}

impl<'t> Params<'t> {
    fn scan(&mut self, scanner: &mut Scanner<'t>, text: &'t str) -> Result<(), Malformed> {
        let mut names = Names::new(["name", "uri", "ref", "notifications", "arguments", "_meta"]);
        scanner.object(|scanner, name| {
            match names.find(name)? {
                Some("name") => self.name = Some(scanner.string()?.decode()?),
                Some("uri") => self.uri = Some(scanner.string()?.decode()?),
                Some("ref") => self.reference = Some(Reference::scan(scanner)?),
                Some("notifications") => self.notifications = Some(scanner.value()?),
                Some("arguments") => self.arguments = Some(scanner.value()?),
                Some("_meta") if scanner.peek() == b'{' => self.scan_meta(scanner)?,
                _ => scanner.skip()?,
            }
            Ok(())
        })?;
        // What is a list of URIs must be readable as one before anybody judges it.
        match &self.notifications {
            Some(range) => subscriptions(&Scanner::within(text, range.clone()), |_, _| {}),
            None => Ok(()),
        }
    }

    fn scan_meta(&mut self, scanner: &mut Scanner<'t>) -> Result<(), Malformed> {
        let mut names = Names::new([PROTOCOL_VERSION, CLIENT_CAPABILITIES]);
        scanner.object(|scanner, name| {
            match names.find(name)? {
                Some(PROTOCOL_VERSION) if scanner.peek() == b'"' => self.version = Some(scanner.string()?.decode()?),
                Some(CLIENT_CAPABILITIES) => {
                    self.has_capabilities = scanner.peek() == b'{';
                    scanner.skip()?;
                }
                _ => scanner.skip()?,
            }
            Ok(())
        })
    }
}

impl<'t> Reference<'t> {
    fn scan(scanner: &mut Scanner<'t>) -> Result<Self, Malformed> {
        let mut names = Names::new(["type", "name", "uri"]);
        let mut reference = Self { name: None, uri: None };
        scanner.object(|scanner, name| {
            match names.find(name)? {
                Some("name") => reference.name = Some(scanner.string()?.decode()?),
                Some("uri") => reference.uri = Some(scanner.string()?.decode()?),
                _ => scanner.skip()?,
            }
            Ok(())
        })?;
        Ok(reference)
    }
}

/// Judges one message; what it leaves out of the body is noted in `edits`.
pub fn judge(request: &Request<'_>, text: &str, view: &impl View, edits: &mut Edits) -> Result<(), Refusal> {
    let no_such = |kind, key: &str| Err(Refusal::NoSuch(kind, key.to_owned()));
    match request.subject() {
        Subject::Tool(name) if view.item(Kind::Tool, name) == Item::Hidden || view.holds_tool(name) => {
            no_such(Kind::Tool, name)
        }
        Subject::Prompt(name) if view.item(Kind::Prompt, name) == Item::Hidden => no_such(Kind::Prompt, name),
        Subject::Uri(uri) if !view.shows_uri(uri) => no_such(Kind::Resource, uri),
        Subject::Template(uri) => {
            let is_template = uri.contains('{');
            let known = view.item(Kind::ResourceTemplate, uri) != Item::Hidden || (!is_template && view.shows_uri(uri));
            if known { Ok(()) } else { no_such(Kind::ResourceTemplate, uri) }
        }
        Subject::Nothing | Subject::Tool(_) | Subject::Prompt(_) | Subject::Uri(_) => Ok(()),
        Subject::Listening => {
            if let (true, Some(range)) = (view.hides_uris(), &request.params.notifications) {
                let mut kept = Elements::default();
                let read = subscriptions(&Scanner::within(text, range.clone()), |element, uri| {
                    if view.shows_uri(uri) { kept.keep(&element, edits) } else { kept.drop(&element, edits) }
                });
                kept.end(edits);
                return read.or(Err(Refusal::Incomplete));
            }
            Ok(())
        }
        Subject::Incomplete => Err(Refusal::Incomplete),
        Subject::Unknown => match &request.method {
            Some(method) if view.passes_method(method) => Ok(()),
            _ => Err(Refusal::NoSuchMethod),
        },
    }
}

/// Goes through the URIs that a `subscriptions/listen`, or the acknowledgement of one, names.
pub(super) fn subscriptions(
    notifications: &Scanner<'_>,
    mut uri: impl FnMut(Range<usize>, &str),
) -> Result<(), Malformed> {
    let mut names = Names::new(["resourceSubscriptions"]);
    notifications.clone().object(|scanner, name| {
        if names.find(name)?.is_none() || scanner.peek() != b'[' {
            return scanner.skip();
        }
        scanner.array(|scanner| {
            let start = scanner.position();
            let said = scanner.string()?.decode()?;
            uri(start..scanner.position_behind(), &said);
            Ok(())
        })
    })
}

impl Refusal {
    /// The status and the body of the answer to one message; no body for what wants no answer.
    ///
    /// Something hidden gets the answer of something unknown, with nothing in it that the client did not say itself.
    pub fn answer(&self, id: Option<&RequestId>, era: Era) -> (StatusCode, Option<String>) {
        if let Self::Response = self {
            let message = "Responses of clients are not accepted.";
            return (StatusCode::BAD_REQUEST, Some(error_response(None, Code::INVALID_REQUEST, message, None)));
        }
        let Some(id) = id else { return (StatusCode::ACCEPTED, None) };
        let error = |code, message: &str, data| Some(error_response(Some(id), code, message, data));
        match self {
            Self::NoSuch(Kind::Tool, name) => {
                (StatusCode::OK, error(Code::INVALID_PARAMS, &format!("Unknown tool: {name}"), None))
            }
            Self::NoSuch(Kind::Prompt, name) => {
                (StatusCode::OK, error(Code::INVALID_PARAMS, &format!("Unknown prompt: {name}"), None))
            }
            Self::NoSuch(Kind::Resource, uri) => {
                let code = if era == Era::Legacy { Code::RESOURCE_NOT_FOUND } else { Code::INVALID_PARAMS };
                (StatusCode::OK, error(code, "Resource not found", Some(json!({"uri": uri}))))
            }
            Self::NoSuch(Kind::ResourceTemplate, uri) => {
                let message = format!("Unknown resource template: {uri}");
                (StatusCode::OK, error(Code::INVALID_PARAMS, &message, None))
            }
            Self::NoSuchMethod => {
                let status = if era == Era::Legacy { StatusCode::OK } else { StatusCode::NOT_FOUND };
                (status, error(Code::METHOD_NOT_FOUND, "Method not found", None))
            }
            Self::Incomplete => (
                StatusCode::OK,
                error(Code::INVALID_PARAMS, "The request lacks a parameter, or it is not what it must be.", None),
            ),
            Self::Misfit(misfit) => {
                let (status, body) = misfit.answer(id);
                (status, Some(body))
            }
            Self::Response => (StatusCode::BAD_REQUEST, None),
        }
    }

    /// The reason code for the log.
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::NoSuch(..) => "capability_hidden",
            Self::NoSuchMethod => "method_not_allowed",
            Self::Incomplete | Self::Response => "invalid_request",
            Self::Misfit(_) => "header_mismatch",
        }
    }
}

impl Unreadable {
    /// The code of JSON-RPC 2.0 section 5.1.
    pub const fn code(self) -> Code {
        match self {
            Self::NotText | Self::NotJson(_) => Code::PARSE_ERROR,
            Self::NotAMessage => Code::INVALID_REQUEST,
        }
    }

    /// The sentence for people.
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::NotText | Self::NotJson(_) => "The body is not JSON that everybody reads alike.",
            Self::NotAMessage => "The body is not one JSON-RPC message.",
        }
    }
}

/// How many messages a batch may have.
const MAX_BATCH: usize = 100;
