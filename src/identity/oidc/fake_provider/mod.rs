//! An OpenID provider on loopback, for tests: it signs whatever it is told to.

mod signing;

use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

pub(super) use signing::{SigningKey, encode};

use super::{Endpoints, Error, IdentityClaims, Pkce, Provider, ProviderSettings};
use crate::{
    clock::Clock,
    crypto::Secret,
    outbound::{
        Client, Resolver, Settings,
        test_server::{Reply, Request, TestServer},
    },
};

/// What the provider answers at the moment; `None` hangs.
pub(super) struct Script {
    pub(super) discovery: Value,
    pub(super) jwks: (u16, Value),
    pub(super) token: Option<(u16, String)>,
    pub(super) userinfo: (u16, Value),
    /// Whether the token endpoint refuses a secret in the header as Auth0 does, or in the body.
    pub(super) refuses_secret_in_header: Option<bool>,
}

pub(super) struct FakeProvider {
    pub(super) issuer: String,
    pub(super) server: TestServer,
    pub(super) clock: Clock,
    client: Client,
    script: Arc<Mutex<Script>>,
}

impl FakeProvider {
    pub(super) async fn start(keys: &[&SigningKey]) -> Self {
        Self::on(tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap(), keys)
    }

    pub(super) fn on(listener: tokio::net::TcpListener, keys: &[&SigningKey]) -> Self {
        let issuer = format!("http://{}", listener.local_addr().unwrap());
        let script = Arc::new(Mutex::new(Script {
            discovery: json!({
                "issuer": issuer,
                "authorization_endpoint": format!("{issuer}/authorize?tenant=one"),
                "token_endpoint": format!("{issuer}/token"),
                "jwks_uri": format!("{issuer}/jwks"),
                "code_challenge_methods_supported": ["plain", "S256"],
            }),
            jwks: (200, key_set(keys)),
            token: None,
            userinfo: (404, Value::Null),
            refuses_secret_in_header: None,
        }));
        let shared = Arc::clone(&script);
        let server = TestServer::on(listener, move |request| shared.lock().unwrap().answer(request));
        Self { issuer, server, clock: Clock::adjustable(), client: loopback_client(), script }
    }

    pub(super) fn change(&self, change: impl FnOnce(&mut Script)) {
        change(&mut self.script.lock().unwrap());
    }

    pub(super) fn publish(&self, keys: &[&SigningKey]) {
        self.change(|script| script.jwks = (200, key_set(keys)));
    }

    pub(super) fn provider(&self) -> Provider {
        self.provider_with(|_| ())
    }

    pub(super) fn provider_with(&self, adjust: impl FnOnce(&mut ProviderSettings)) -> Provider {
        let mut settings = settings(&self.issuer);
        adjust(&mut settings);
        Provider::new(settings, self.client.clone(), self.clock.clone()).unwrap()
    }

    /// The claims of an honest ID token.
    pub(super) fn claims(&self) -> Value {
        let now = self.clock.now().as_seconds();
        json!({
            "iss": self.issuer, "sub": "ada-1", "aud": CLIENT_ID, "nonce": NONCE, "iat": now, "exp": now + 300,
            "email": "ada@example.com", "email_verified": true, "name": "Ada", "preferred_username": "ada",
            "groups": ["engineers"],
        })
    }

    /// The honest claims with some members replaced; `null` removes one.
    pub(super) fn claims_with(&self, changes: &Value) -> Value {
        let mut claims = self.claims();
        for (name, value) in changes.as_object().unwrap() {
            match value {
                Value::Null => claims.as_object_mut().unwrap().remove(name),
                value => claims.as_object_mut().unwrap().insert(name.clone(), value.clone()),
            };
        }
        claims
    }

    /// Finishes a login for which the token endpoint hands out `id_token`.
    pub(super) async fn finish(&self, provider: &Provider, id_token: &str) -> Result<IdentityClaims, Error> {
        let answer = json!({
            "token_type": "Bearer", "access_token": ACCESS_TOKEN, "refresh_token": "refresh-1", "id_token": id_token,
        });
        self.change(|script| script.token = Some((200, answer.to_string())));
        finish(provider).await
    }
}

pub(super) async fn finish(provider: &Provider) -> Result<IdentityClaims, Error> {
    let verifier = Secret::new("verifier-1");
    provider.finish("code-1", REDIRECT_URI, NONCE, Some(&verifier)).await
}

impl Script {
    fn answer(&self, request: &Request) -> Reply {
        let json = |status, document: &Value| Reply::new(status, &[], &document.to_string());
        match request.path() {
            "/.well-known/openid-configuration" => json(200, &self.discovery),
            "/jwks" => json(self.jwks.0, &self.jwks.1),
            "/userinfo" => match request.header("authorization") {
                Some(header) if header == format!("Bearer {ACCESS_TOKEN}") => json(self.userinfo.0, &self.userinfo.1),
                _ => Reply::new(401, &[], ""),
            },
            "/token" if self.refuses_secret_in_header == Some(request.header("authorization").is_some()) => {
                json(401, &json!({"error": "access_denied", "error_description": "Unauthorized"}))
            }
            "/token" => match &self.token {
                Some((status, body)) => Reply::new(*status, &[], body),
                None => Reply::Hang(Vec::new()),
            },
            _ => Reply::new(404, &[], ""),
        }
    }
}

pub(super) fn settings(issuer: &str) -> ProviderSettings {
    ProviderSettings {
        name: "oidc".to_owned(),
        issuer: issuer.to_owned(),
        issuer_aliases: Vec::new(),
        dialect: super::Dialect::OpenIdConnect,
        endpoints: Endpoints::default(),
        client_id: CLIENT_ID.to_owned(),
        client_secret: Some(Secret::new("client-secret")),
        scope: "openid profile email".to_owned(),
        audience: None,
        pkce: Pkce::Auto,
        timeout: std::time::Duration::from_secs(10),
    }
}

pub(super) fn loopback_client() -> Client {
    let settings = Settings { allow_loopback: true, ..Settings::default() };
    Client::new(&settings, Arc::new(Resolver::system())).unwrap()
}

fn key_set(keys: &[&SigningKey]) -> Value {
    json!({ "keys": keys.iter().map(|key| key.jwk()).collect::<Vec<_>>() })
}

pub(super) const CLIENT_ID: &str = "gateway";
pub(super) const REDIRECT_URI: &str = "https://gateway.example/oauth/callback";
pub(super) const NONCE: &str = "nonce-1";
pub(super) const ACCESS_TOKEN: &str = "access-1";
