//! A company's identity provider: OpenID Connect, and the identity assertions that it gives out (ID-JAG).
//!
//! It signs whoever is at the browser in as [`IdentityProvider::person`], asks nothing, and remembers what was asked of its
//! token endpoint. Its exchange (RFC 8693) has the shape of draft-ietf-oauth-identity-assertion-authz-grant.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use ring::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair},
};
use sallyport::clock::Clock;
use serde_json::{Map, Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// A running identity provider.
pub struct IdentityProvider {
    pub issuer: String,
    pub clock: Clock,
    state: Arc<Mutex<State>>,
}

/// What it does at the moment.
pub struct Behaviour {
    /// Who sits at the browser.
    pub person: &'static str,
    /// Whether a sign-in gives a refresh token.
    pub gives_refresh_tokens: bool,
    /// How long an ID token lives.
    pub id_token_lifetime: Duration,
    /// The error that an exchange is refused with.
    pub denies_exchange: Option<&'static str>,
    /// The error that a refresh is refused with.
    pub denies_refresh: Option<&'static str>,
    /// Members that an assertion has in place of the honest ones; `null` removes one.
    pub assertion_changes: Value,
    /// Members that the answer to an exchange has in place of the honest ones.
    pub answer_changes: Value,
    /// Whether it takes requests and says nothing.
    pub is_silent: bool,
    /// The client that the gateway is at the authorization server of the upstream.
    pub client_id_at_resource: String,
}

struct State {
    issuer: String,
    clock: Clock,
    key: EcdsaKeyPair,
    number: u32,
    /// Codes with the nonce and the person that they are for.
    codes: BTreeMap<String, (String, &'static str)>,
    refresh_tokens: BTreeMap<String, &'static str>,
    asked: Vec<BTreeMap<String, String>>,
    behaviour: Behaviour,
}

impl IdentityProvider {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let issuer = format!("http://{}", listener.local_addr().unwrap());
        let clock = Clock::adjustable();
        let behaviour = Behaviour {
            person: "ada",
            gives_refresh_tokens: true,
            id_token_lifetime: Duration::from_secs(300),
            denies_exchange: None,
            denies_refresh: None,
            assertion_changes: json!({}),
            answer_changes: json!({}),
            is_silent: false,
            client_id_at_resource: String::new(),
        };
        let state = Arc::new(Mutex::new(State {
            issuer: issuer.clone(),
            clock: clock.clone(),
            key: new_key(),
            number: 0,
            codes: BTreeMap::new(),
            refresh_tokens: BTreeMap::new(),
            asked: Vec::new(),
            behaviour,
        }));
        let shared = Arc::clone(&state);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&shared)));
            }
        });
        Self { issuer, clock, state }
    }

    /// The `identity` section of a gateway that signs people in here.
    pub fn identity(&self) -> Value {
        json!({"provider": "oidc", "issuer": self.issuer, "clientId": CLIENT_ID, "clientSecret": CLIENT_SECRET,
               "users": null, "scope": "openid profile email offline_access"})
    }

    pub fn behave(&self, change: impl FnOnce(&mut Behaviour)) {
        change(&mut self.state.lock().unwrap().behaviour);
    }

    /// Signs with another key from now on.
    pub fn rotate_key(&self) {
        self.state.lock().unwrap().key = new_key();
    }

    /// Where the browser goes from the provider's authorization endpoint.
    pub async fn sign_in(&self, location: &str) -> String {
        let http = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
        let response = http.get(location).send().await.unwrap();
        response.headers()[reqwest::header::LOCATION].to_str().unwrap().to_owned()
    }

    /// The forms that its token endpoint got with this grant type.
    pub fn asked(&self, grant_type: &str) -> Vec<BTreeMap<String, String>> {
        let asked = &self.state.lock().unwrap().asked;
        asked.iter().filter(|form| form["grant_type"].ends_with(grant_type)).cloned().collect()
    }

    /// An honest assertion for `client_id` at the authorization server `audience`, with some members changed.
    pub fn assertion(&self, audience: &str, client_id: &str, changes: &Value) -> String {
        let mut state = self.state.lock().unwrap();
        let claims = state.assertion_claims("ada", audience, client_id, None, None);
        let claims = changed(claims, changes);
        state.sign(ID_JAG, &claims)
    }

    /// A token of another kind, or with another header, signed with the same key.
    pub fn signed(&self, header: &Value, claims: &Value) -> String {
        self.state.lock().unwrap().sign_with(header, claims)
    }
}

impl State {
    fn next(&mut self, prefix: &str) -> String {
        self.number += 1;
        format!("{prefix}-{}", self.number)
    }

    fn assertion_claims(
        &mut self,
        sub: &str,
        audience: &str,
        client_id: &str,
        resource: Option<&str>,
        scope: Option<&str>,
    ) -> Value {
        let now = self.clock.now().as_seconds();
        let mut claims = json!({
            "iss": self.issuer, "sub": sub, "aud": audience, "client_id": client_id, "jti": self.next("jti"),
            "iat": now, "exp": now + 300, "email": format!("{sub}@example.com"), "email_verified": true,
        });
        for (name, value) in [("resource", resource), ("scope", scope)] {
            if let Some(value) = value {
                claims[name] = value.into();
            }
        }
        claims
    }

    fn id_token(&self, sub: &str, nonce: Option<&str>) -> String {
        let now = self.clock.now().as_seconds();
        let lifetime = i64::try_from(self.behaviour.id_token_lifetime.as_secs()).unwrap();
        let mut claims = json!({
            "iss": self.issuer, "sub": sub, "aud": CLIENT_ID, "iat": now, "exp": now + lifetime,
            "email": format!("{sub}@example.com"), "email_verified": true, "name": sub, "groups": ["engineers"],
        });
        if let Some(nonce) = nonce {
            claims["nonce"] = nonce.into();
        }
        self.sign("JWT", &claims)
    }

    fn sign(&self, typ: &str, claims: &Value) -> String {
        self.sign_with(&json!({"alg": "ES256", "kid": self.kid(), "typ": typ}), claims)
    }

    fn sign_with(&self, header: &Value, claims: &Value) -> String {
        let part = |part: &Value| URL_SAFE_NO_PAD.encode(part.to_string());
        let message = format!("{}.{}", part(header), part(claims));
        let signature = self.key.sign(&SystemRandom::new(), message.as_bytes()).unwrap();
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    fn kid(&self) -> String {
        URL_SAFE_NO_PAD.encode(&self.key.public_key().as_ref()[1..9])
    }

    fn answer(&mut self, method: &str, target: &str, authorization: Option<&str>, body: &str) -> (u16, String, Value) {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let issuer = &self.issuer;
        match (method, path) {
            ("GET", "/.well-known/openid-configuration") => (
                200,
                String::new(),
                json!({
                    "issuer": issuer, "jwks_uri": format!("{issuer}/jwks"),
                    "authorization_endpoint": format!("{issuer}/authorize"),
                    "token_endpoint": format!("{issuer}/token"),
                    "code_challenge_methods_supported": ["S256"],
                    "token_endpoint_auth_methods_supported": ["client_secret_basic"],
                    "identity_chaining_requested_token_types_supported": [TOKEN_TYPE],
                }),
            ),
            ("GET", "/jwks") => {
                let point = self.key.public_key().as_ref();
                let (x, y) = point[1..].split_at(32);
                let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
                let key = json!({"kty": "EC", "crv": "P-256", "x": text(x), "y": text(y), "kid": self.kid(),
                                 "alg": "ES256", "use": "sig"});
                (200, String::new(), json!({"keys": [key]}))
            }
            ("GET", "/authorize") => {
                let asked = form(query);
                let code = self.next("code");
                self.codes.insert(code.clone(), (asked["nonce"].clone(), self.behaviour.person));
                let mut location = url::Url::parse(&asked["redirect_uri"]).unwrap();
                location.query_pairs_mut().append_pair("code", &code).append_pair("state", &asked["state"]);
                (302, location.to_string(), Value::Null)
            }
            ("POST", "/token") => {
                let (status, answer) = self.token(authorization, form(body));
                (status, String::new(), answer)
            }
            _ => (404, String::new(), Value::Null),
        }
    }

    fn token(&mut self, authorization: Option<&str>, form: BTreeMap<String, String>) -> (u16, Value) {
        let expected = format!("Basic {}", STANDARD.encode(format!("{CLIENT_ID}:{CLIENT_SECRET}")));
        if authorization != Some(expected.as_str()) {
            return refused(401, "invalid_client");
        }
        self.asked.push(form.clone());
        let denial = match form["grant_type"].as_str() {
            "refresh_token" => self.behaviour.denies_refresh,
            EXCHANGE => self.behaviour.denies_exchange,
            _ => None,
        };
        if let Some(denial) = denial {
            return refused(400, denial);
        }
        match form["grant_type"].as_str() {
            "authorization_code" => match self.codes.remove(&form["code"]) {
                Some((nonce, person)) => self.tokens(person, Some(&nonce)),
                None => refused(400, "invalid_grant"),
            },
            // Rotates, so that a token that is used twice is noticed.
            "refresh_token" => match self.refresh_tokens.remove(&form["refresh_token"]) {
                Some(person) => self.tokens(person, None),
                None => refused(400, "invalid_grant"),
            },
            EXCHANGE => self.exchange(&form),
            _ => refused(400, "unsupported_grant_type"),
        }
    }

    fn tokens(&mut self, person: &'static str, nonce: Option<&str>) -> (u16, Value) {
        let mut answer = json!({"token_type": "Bearer", "access_token": self.next("access"), "expires_in": 300,
                                "id_token": self.id_token(person, nonce)});
        if self.behaviour.gives_refresh_tokens {
            let refresh_token = self.next("refresh");
            self.refresh_tokens.insert(refresh_token.clone(), person);
            answer["refresh_token"] = refresh_token.into();
        }
        (200, answer)
    }

    fn exchange(&mut self, form: &BTreeMap<String, String>) -> (u16, Value) {
        let claims = form["subject_token"].split('.').nth(1).unwrap();
        let claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).unwrap()).unwrap();
        let live = claims["exp"].as_i64().unwrap() > self.clock.now().as_seconds();
        let right = form["subject_token_type"] == "urn:ietf:params:oauth:token-type:id_token"
            && form["requested_token_type"] == TOKEN_TYPE
            && claims["aud"] == CLIENT_ID;
        if !live || !right {
            return refused(400, "invalid_request");
        }
        let client_id = self.behaviour.client_id_at_resource.clone();
        let (resource, scope) = (form.get("resource").map(String::as_str), form.get("scope").map(String::as_str));
        let sub = claims["sub"].as_str().unwrap();
        let assertion = self.assertion_claims(sub, &form["audience"], &client_id, resource, scope);
        let assertion = changed(assertion, &self.behaviour.assertion_changes);
        let answer = json!({"issued_token_type": TOKEN_TYPE, "access_token": self.sign(ID_JAG, &assertion),
                            "token_type": "N_A", "expires_in": 300});
        (200, changed(answer, &self.behaviour.answer_changes))
    }
}

fn refused(status: u16, error: &str) -> (u16, Value) {
    (status, json!({"error": error}))
}

fn changed(document: Value, changes: &Value) -> Value {
    let Value::Object(mut members) = document else { panic!("{document}") };
    for (name, value) in changes.as_object().unwrap() {
        match value {
            Value::Null => drop(members.remove(name)),
            value => drop(members.insert(name.clone(), value.clone())),
        }
    }
    Value::Object(Map::from_iter(members))
}

fn form(text: &str) -> BTreeMap<String, String> {
    url::form_urlencoded::parse(text.as_bytes()).into_owned().collect()
}

fn new_key() -> EcdsaKeyPair {
    let random = SystemRandom::new();
    let document = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
    EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, document.as_ref(), &random).unwrap()
}

async fn serve(mut stream: TcpStream, state: Arc<Mutex<State>>) {
    let mut received = Vec::new();
    let (head, length) = loop {
        let mut part = [0; 4096];
        match stream.read(&mut part).await {
            Ok(0) | Err(_) => return,
            Ok(length) => received.extend_from_slice(&part[..length]),
        }
        let Some(end) = received.windows(4).position(|window| window == b"\r\n\r\n") else { continue };
        let head = String::from_utf8_lossy(&received[..end]).into_owned();
        let length = header(&head, "content-length").map_or(0, |value| value.parse::<usize>().unwrap());
        if received.len() >= end + 4 + length {
            received.drain(..end + 4);
            break (head, length);
        }
    };
    if state.lock().unwrap().behaviour.is_silent {
        let _until_the_other_side_gives_up = stream.read(&mut [0]).await;
        return;
    }
    let body = String::from_utf8_lossy(&received[..length]).into_owned();
    let mut line = head.lines().next().unwrap_or_default().split(' ');
    let (method, target) = (line.next().unwrap_or_default(), line.next().unwrap_or_default());
    let (status, location, answer) =
        state.lock().unwrap().answer(method, target, header(&head, "authorization"), &body);
    let (location, answer) = (
        if location.is_empty() { location } else { format!("Location: {location}\r\n") },
        if answer.is_null() { String::new() } else { answer.to_string() },
    );
    let answer = format!(
        "HTTP/1.1 {status} Status\r\n{location}Content-Type: application/json\r\nConnection: close\r\n\
         Content-Length: {}\r\n\r\n{answer}",
        answer.len()
    );
    // Whoever asked may be gone, which is nothing to the provider.
    let _written_or_gone = stream.write_all(answer.as_bytes()).await;
}

fn header<'h>(head: &'h str, name: &str) -> Option<&'h str> {
    head.lines().skip(1).find_map(|line| {
        let (key, value) = line.split_once(':')?;
        key.eq_ignore_ascii_case(name).then(|| value.trim())
    })
}

const CLIENT_ID: &str = "gateway";
const CLIENT_SECRET: &str = "gateway-secret-at-the-provider";
const ID_JAG: &str = "oauth-id-jag+jwt";
const TOKEN_TYPE: &str = "urn:ietf:params:oauth:token-type:id-jag";
const EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
