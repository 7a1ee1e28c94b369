//! What a stranger's bytes must never do to a parser, one function for each, shared by the fuzz targets and the tests.
//!
//! A target panics when the parser does, or when what it says contradicts a simpler reading of the same bytes.

use std::collections::HashMap;

use http::{HeaderMap, HeaderName, HeaderValue};
use sallyport::{
    crypto::{KeyRing, KeySet, SIGNING_ALGORITHMS, SignedJwt},
    mcp::{
        Head, Message,
        filter::{Batch, Edits, EventFilter, Item, Kind, Narrowed, View, judge, narrow},
    },
    oauth::{
        AuthMethod, Challenge, ClientDocument, ClientIdUrl, ClientKeys, Params, RedirectTarget, RegisteredRedirect,
        ResourceUri, bearer, client_auth, registration, scope,
    },
    pages,
    telemetry::{
        Call, Method,
        peek::{self, Glance},
    },
    upstream::authorization::{at_hand, same_issuer},
    web::{Cookie, Origin, OriginRules, RequestOrigin, Scheme, cookie},
};

/// A target: its name, which is that of its corpus, and what it does with an input.
pub type Target = (&'static str, fn(&[u8]));

/// All targets.
pub const TARGETS: &[Target] = &[
    ("authorization_params", authorization_params),
    ("bearer_token", bearer_token),
    ("challenge", challenge),
    ("client_authentication", client_authentication),
    ("client_document", client_document),
    ("cookies", cookies),
    ("display", display),
    ("filter_answer", filter_answer),
    ("filter_events", filter_events),
    ("filter_request", filter_request),
    ("glance", glance),
    ("key_set", key_set),
    ("mcp_head", mcp_head),
    ("message", message),
    ("origin", origin),
    ("redirect_uri", redirect_uri),
    ("registration", registration),
    ("resource", resource),
    ("sealed", sealed),
    ("upstream_metadata", upstream_metadata),
];

/// `WWW-Authenticate` of an upstream, one header value a line.
pub fn challenge(input: &[u8]) {
    for challenge in Challenge::parse(input.split(|byte| *byte == b'\n')) {
        let name = challenge.parameter("resource_metadata");
        // A byte that is no UTF-8 becomes a replacement character of three.
        assert!(name.is_none_or(|value| value.len() <= 3 * input.len()), "a value is longer than its header");
    }
}

/// A dynamic registration; what was accepted must be usable and nothing but itself.
pub fn registration(input: &[u8]) {
    let Ok(registration) = registration::Registration::parse(input) else { return };
    assert!(!registration.redirect_uris.is_empty(), "a client without a redirect URI");
    for uri in &registration.redirect_uris {
        let target = RedirectTarget::matched(&registration.redirect_uris, Some(uri)).expect("its own redirect URI");
        assert_eq!(target.as_str(), uri);
        let scheme = uri.split(':').next().unwrap_or_default().to_ascii_lowercase();
        assert!(!["javascript", "data", "vbscript", "file", "blob"].contains(&&*scheme), "registered {uri:?}");
    }
    for link in [&registration.client_uri, &registration.logo_uri, &registration.tos_uri, &registration.policy_uri] {
        assert!(link.as_deref().is_none_or(|link| link.to_ascii_lowercase().starts_with("https://")), "{link:?}");
    }
    serde_json::to_string(&registration).expect("JSON again");
}

/// The metadata document of a client behind the URL at which it stands: it speaks for no other URL.
pub fn client_document(input: &[u8]) {
    let (first, document) = first_line(input);
    let Some(Ok(url)) = std::str::from_utf8(first).ok().map(ClientIdUrl::parse) else { return };
    assert!(url.url().scheme() == "https" && url.url().fragment().is_none(), "{url:?}");
    let Ok(client) = ClientDocument::parse(&url, document) else { return };
    // A text that is not UTF-8 is no obstacle in a member that we do not know.
    let Ok(value) = serde_json::from_slice::<serde_json::Value>(document) else { return };
    assert_eq!(value["client_id"], url.url().as_str());
    assert!(value["client_secret"].is_null(), "a secret that everybody can read");
    assert!(!client.redirect_uris.is_empty(), "a client without a redirect URI");
    for uri in &client.redirect_uris {
        RedirectTarget::matched(&client.redirect_uris, Some(uri)).expect("its own redirect URI");
    }
    assert_eq!(client.keys.is_some(), client.auth_method == AuthMethod::PrivateKeyJwt);
    for link in [&client.uri, &client.logo_uri] {
        assert!(link.as_deref().is_none_or(|link| link.to_ascii_lowercase().starts_with("https://")), "{link:?}");
    }
}

/// A signed JWT in the first line and the key set that it comes with: only the algorithms of key pairs are believed, and
/// keys that must be secret are never taken for a client's.
pub fn key_set(input: &[u8]) {
    let (token, document) = first_line(input);
    let Ok(value) = serde_json::from_slice::<serde_json::Value>(document) else { return };
    if let Ok(ClientKeys::Inline(keys)) = ClientKeys::parse(Some(value.clone()), None) {
        for key in keys["keys"].as_array().expect("keys") {
            assert!(key["kty"] != "oct" && key["d"].is_null() && key["k"].is_null(), "a secret key: {key}");
        }
    }
    let (Ok(document), Ok(token)) = (serde_json::from_value(value), std::str::from_utf8(token)) else { return };
    if let Ok(jwt) = SignedJwt::verify(token, &KeySet::new(document)) {
        assert!(SIGNING_ALGORITHMS.contains(&&*format!("{:?}", jwt.algorithm)), "{:?}", jwt.algorithm);
        let issuer = jwt.claims.get("iss").and_then(serde_json::Value::as_str);
        assert_eq!(SignedJwt::claimed_issuer(token).as_deref(), issuer);
    }
}

/// The metadata of an upstream in the first line, and behind it that of its authorization server: what is accepted speaks
/// for the upstream's own origin and for its own issuer, and its endpoints can be gone to.
pub fn upstream_metadata(input: &[u8]) {
    let (resource, server) = first_line(input);
    let upstream = url::Url::parse("https://mcp.example.com/a/mcp").expect("a URL");
    let Some(found) = at_hand::authorization_server(&upstream, resource, server) else { return };
    let Ok(resource) = serde_json::from_slice::<serde_json::Value>(resource) else { return };
    let announced = url::Url::parse(&found.resource).expect("a URL");
    assert_eq!(announced.origin(), upstream.origin(), "metadata of somebody else");
    let issuer = resource["authorization_servers"]
        .as_array()
        .and_then(|issuers| issuers.iter().find_map(serde_json::Value::as_str))
        .expect("an issuer");
    assert!(same_issuer(issuer, &found.issuer), "{issuer} is not {}", found.issuer);
    let endpoints = [&found.registration_endpoint, &found.revocation_endpoint].into_iter().flatten();
    for endpoint in endpoints.chain([&found.authorization_endpoint, &found.token_endpoint]) {
        let plain = issuer.starts_with("http:") && endpoint.scheme() == "http";
        assert!(endpoint.scheme() == "https" || plain, "{endpoint}");
        assert!(endpoint.username().is_empty() && endpoint.fragment().is_none() && endpoint.has_host(), "{endpoint}");
    }
}

/// `Authorization` of an MCP request, one field a line: a token comes from the only one.
pub fn bearer_token(input: &[u8]) {
    let headers = header_map(input);
    let Ok(token) = bearer::token(&headers) else { return };
    let mut values = headers.get_all("authorization").iter();
    let value = values.next().expect("a header").to_str().expect("text");
    assert!(values.next().is_none(), "two headers");
    assert!(value.ends_with(token) && token.bytes().all(|byte| byte.is_ascii_graphic()), "{token:?} of {value:?}");
}

/// The parameters of the authorization and token endpoints: the same values as a form decoder sees, and no duplicates.
pub fn authorization_params(input: &[u8]) {
    let Ok(params) = Params::parse(input) else { return };
    let mut seen: HashMap<String, Vec<String>> = HashMap::new();
    for (name, value) in form_urlencoded::parse(input) {
        seen.entry(name.into_owned()).or_default().push(value.into_owned());
    }
    for name in ["client_id", "redirect_uri", "response_type", "resource", "scope", "state", "code_challenge"] {
        let values = seen.get(name).map(Vec::as_slice).unwrap_or_default();
        match params.get(name) {
            // RFC 6749 section 3.1: a parameter without a value counts as left out.
            Ok(None) => assert!(values.iter().all(String::is_empty), "{name} is lost"),
            Ok(Some(value)) => assert!(values.iter().any(|seen| seen == value), "{name} is invented"),
            Err(_) => assert!(values.len() > 1, "{name} came once"),
        }
    }
    for scopes in [params.get("scope").ok().flatten()] {
        if let Ok(granted) = scope::grant_scope(scopes) {
            assert!(granted.split(' ').all(|one| scope::contains(&granted, one)));
        }
    }
}

/// `Authorization` of a client at the token endpoint: the first line is the header, the rest the body.
pub fn client_authentication(input: &[u8]) {
    let mut parts = input.splitn(2, |byte| *byte == b'\n');
    let (header, body) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let Ok(params) = Params::parse(body) else { return };
    let headers = (!header.is_empty()).then_some(header);
    if let Ok(presented) = client_auth::Presented::parse(headers, &params) {
        let client_id = format!("{:?}", presented.client_id());
        let rest = format!("{presented:?}").replace(&client_id, "");
        if let Ok(Some(secret)) = params.get("client_secret") {
            // What is printed may hold a short one by chance.
            assert!(secret.len() < 12 || !rest.contains(secret), "a secret is printed: {rest}");
        }
    }
}

/// The body of an MCP request: whatever is taken for a request, another JSON reader must take for the same.
pub fn message(input: &[u8]) {
    let Ok(Message::Request(request)) = Message::parse(input) else { return };
    let value: serde_json::Value = match serde_json::from_slice(input) {
        Ok(value) => value,
        // Grammatical, but above what a 64-bit float holds, or half of a surrogate pair, as JavaScript writes it for a
        // text that was cut; we do not look at such a member, and others may refuse it.
        Err(error) if OTHERS_REFUSE.iter().any(|reason| error.to_string().starts_with(reason)) => return,
        Err(error) => panic!("it was JSON: {error}"),
    };
    assert_eq!(value["method"], request.method.as_ref());
    assert_eq!(value["id"], serde_json::to_value(&request.id).expect("an id"));
    let again = request.with_params("{}");
    let Ok(Message::Request(other)) = Message::parse(again.as_bytes()) else { panic!("no request any more: {again}") };
    assert_eq!((other.id, other.method), (request.id, request.method));
}

const OTHERS_REFUSE: [&str; 3] =
    ["number out of range", "lone leading surrogate in hex escape", "unexpected end of hex escape"];

/// A glance at a message of either side: of a request it says the method that the strict reader says, or nothing.
pub fn glance(input: &[u8]) {
    let stream = peek::reports_error(input, true);
    assert!(!stream || input.windows(5).any(|piece| piece == b"data:"), "an error outside of an event");
    let _whatever = peek::reports_error(input, false);
    let glances = [false, true].map(|with_trace| peek::request(input, with_trace));
    let strict = match Message::parse(input) {
        // A method that is written with escapes counts as one that is not known, and what looks like an answer as one.
        Ok(Message::Request(request)) if !input.contains(&b'\\') => Some(Method::named(request.method.as_bytes())),
        _ => None,
    };
    for Glance { call: Call { method, name }, trace: _ } in glances.into_iter().flatten() {
        assert!(name.is_none_or(|name| name.len() <= Call::NAME), "a name without an end");
        assert!(
            strict.is_none_or(|strict| method == strict || method == Method::RESPONSE),
            "{method:?}, not {strict:?}"
        );
    }
}

/// The head of an MCP request, one field a line.
pub fn mcp_head(input: &[u8]) {
    let headers = header_map(input);
    let Ok(head) = Head::parse(&headers) else { return };
    if let Some(session) = head.session_id {
        assert!(session.bytes().all(|byte| byte.is_ascii_graphic()), "{session:?}");
        assert!(headers.get_all("mcp-session-id").iter().all(|value| value == session.trim()));
    }
}

/// The cookies of a browser: none of two, and never one of another name.
pub fn cookies(input: &[u8]) {
    let headers = header_map(input);
    for secure in [false, true] {
        let ours = Cookie { name: "sallyport_session", secure };
        let Some(value) = cookie(&headers, &ours) else { continue };
        let pair = format!("{}={value}", ours.full_name());
        let times = headers
            .get_all("cookie")
            .iter()
            .map(|line| String::from_utf8_lossy(line.as_bytes()).matches(&pair).count())
            .sum::<usize>();
        assert!(times >= 1, "a cookie that nobody sent: {pair:?}");
    }
}

/// `Host` and `X-Forwarded-*`, one a line: an origin that is accepted is one for a URL parser, too.
pub fn origin(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let mut lines = text.split('\n').map(Some).chain(std::iter::repeat(None));
    let rules = OriginRules { public_origins: Vec::new(), trusted_proxies: Vec::new() };
    let request = RequestOrigin {
        host: lines.next().flatten(),
        forwarded_host: lines.next().flatten(),
        forwarded_proto: lines.next().flatten(),
        peer: None,
        tls: false,
    };
    if let Ok(origin) = rules.resolve(&request) {
        let url = url::Url::parse(&format!("http://{}/", origin.authority())).expect("an authority");
        assert!(url.username().is_empty() && url.path() == "/" && url.query().is_none(), "{url}");
    }
    if let Some(origin) = Origin::of(Scheme::Https, text) {
        assert!(!origin.authority().contains(['/', '@', '?', '#', '\\', ' ']), "{:?}", origin.authority());
    }
}

/// A redirect URI: a registered one matches itself, and what matches it goes to the same host.
pub fn redirect_uri(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let (registered, requested) = text.split_once('\n').unwrap_or((text, text));
    if RegisteredRedirect::parse(registered).is_err() {
        return;
    }
    let registered = [registered.to_owned()];
    RedirectTarget::matched(&registered, Some(&registered[0])).expect("itself");
    if let Ok(target) = RedirectTarget::matched(&registered, Some(requested)) {
        let answer = target.success("code", Some("state"), "https://gateway.example.com");
        match (url::Url::parse(&registered[0]), url::Url::parse(&answer)) {
            (Ok(own), Ok(answer)) => {
                assert_eq!((own.scheme(), own.host(), own.path()), (answer.scheme(), answer.host(), answer.path()));
            }
            (Ok(_), Err(error)) => panic!("{answer:?} is no URL: {error}"),
            (Err(_), _) => {}
        }
    }
}

/// The `resource` of a client against that of a route.
pub fn resource(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let route = ResourceUri::parse("https://gateway.example.com/mcp/a").expect("a route");
    if route.matches(text) {
        let url = url::Url::parse(text).expect("it matched");
        assert_eq!(url.host_str(), Some("gateway.example.com"), "{text:?}");
        assert!(url.path().starts_with("/mcp/a"), "{text:?}");
    }
    if let Ok(parsed) = ResourceUri::parse(text) {
        assert!(parsed.matches(parsed.as_str()));
    }
}

/// Sealed values: tickets, session ids, request states and the store's columns. Nothing opens but what was sealed.
pub fn sealed(input: &[u8]) {
    let keys = KeyRing::derived("test", "secret");
    assert!(keys.open("here", input).is_err(), "a stranger sealed something");
    let own = keys.seal("here", input);
    assert_eq!(keys.open("here", &own).expect("our own").as_slice(), input);
    assert!(keys.open("there", &own).is_err());
    let mut changed = own;
    let place = input.first().copied().map_or(0, usize::from) % changed.len();
    changed[place] ^= 1;
    assert!(keys.open("here", &changed).is_err());
}

/// Names and texts of strangers for a page.
pub fn display(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    for shown in [pages::safe_text(&text), pages::safe_paragraph(&text)] {
        let control = |character: char| character.is_control() && character != '\n';
        assert!(!shown.as_str().contains(control), "{:?}", shown.as_str());
        assert!(shown.as_str().chars().count() <= 2000, "unbounded");
    }
}

/// A route on which everything is shown but what is called `hidden`.
struct Hiding;

impl View for Hiding {
    fn item(&self, _: Kind, key: &str) -> Item<'_> {
        if key == HIDDEN { Item::Hidden } else { Item::Whole }
    }

    fn shows_uri(&self, uri: &str) -> bool {
        uri != HIDDEN
    }

    fn hides_uris(&self) -> bool {
        true
    }

    fn shows_any(&self, _: Kind) -> bool {
        true
    }

    fn is_private(&self) -> bool {
        false
    }

    fn passes_method(&self, _: &str) -> bool {
        false
    }

    fn accepts_tool(&self, _: &str, _: &str) -> bool {
        true
    }

    fn known_tool<'t>(&self, _: &'t str) -> Option<(&'t str, usize)> {
        None
    }

    fn holds_tool(&self, _: &str) -> bool {
        false
    }
}

const HIDDEN: &str = "hidden";

/// What a client asks for: no message that passes asks for a hidden item, as another JSON reader understands it.
pub fn filter_request(input: &[u8]) {
    let (Ok(text), Ok(batch)) = (std::str::from_utf8(input), Batch::parse(input)) else { return };
    let Ok(value) = serde_json::from_str::<serde_json::Value>(text) else { return };
    let values = if let serde_json::Value::Array(values) = value { values } else { vec![value] };
    assert_eq!(values.len(), batch.messages().len());
    for (value, request) in values.iter().zip(batch.messages()) {
        let asks = match value["method"].as_str() {
            Some("tools/call" | "prompts/get") => value["params"]["name"] == HIDDEN,
            Some("resources/read" | "resources/subscribe") => value["params"]["uri"] == HIDDEN,
            _ => false,
        };
        let passes = judge(request, text, &Hiding, &mut Edits::default()).is_ok();
        assert!(!(asks && passes), "a hidden item is asked for: {text}");
    }
}

/// What a server answers: no list that passes names a hidden item.
pub fn filter_answer(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let passed = match narrow(text, &Hiding) {
        Ok(Narrowed::Unchanged) => text.to_owned(),
        Ok(Narrowed::Changed(text)) => text,
        Ok(Narrowed::Dropped) | Err(_) => return,
    };
    let Ok(value) = serde_json::from_str::<serde_json::Value>(&passed) else { return };
    let values = if let serde_json::Value::Array(values) = value { values } else { vec![value] };
    for value in &values {
        for kind in [Kind::Tool, Kind::Prompt, Kind::Resource, Kind::ResourceTemplate] {
            let items = value["result"][kind.list()].as_array().map(Vec::as_slice).unwrap_or_default();
            assert!(items.iter().all(|item| item[kind.key()] != HIDDEN), "a hidden item is listed: {passed}");
        }
    }
}

/// A stream of events: the same, however it is cut into parts; the first byte says where.
pub fn filter_events(input: &[u8]) {
    let Some((cut, stream)) = input.split_first() else { return };
    let mut whole = EventFilter::new(None);
    let Ok(expected) = whole.push(stream, &Hiding) else { return };
    let size = usize::from(*cut).max(1);
    let mut parts = EventFilter::new(None);
    let mut out = Vec::new();
    for part in stream.chunks(size) {
        out.extend(parts.push(part, &Hiding).expect("as large as the whole"));
    }
    assert_eq!(String::from_utf8_lossy(&out), String::from_utf8_lossy(&expected), "cut at {size}");
    for line in String::from_utf8_lossy(&expected).lines() {
        if let Some(message) = line.strip_prefix("data: ") {
            // A message of several lines is checked where it is one.
            if serde_json::from_str::<serde_json::Value>(message).is_ok() {
                assert_ne!(narrow(message, &Hiding), Ok(Narrowed::Dropped), "{message}");
            }
        }
    }
}

fn first_line(input: &[u8]) -> (&[u8], &[u8]) {
    let end = input.iter().position(|byte| *byte == b'\n').unwrap_or(input.len());
    (&input[..end], input.get(end + 1..).unwrap_or_default())
}

fn header_map(input: &[u8]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for line in input.split(|byte| *byte == b'\n').take(64) {
        let mut parts = line.splitn(2, |byte| *byte == b':');
        let (name, value) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name), HeaderValue::from_bytes(value.trim_ascii())) {
            headers.append(name, value);
        }
    }
    headers
}
