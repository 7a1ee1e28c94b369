//! Connections as a test says.

use std::{
    collections::{HashMap, VecDeque},
    sync::Mutex,
    time::Duration,
};

use async_trait::async_trait;
use http::{HeaderValue, header};
use sallyport::{
    policy::Permit,
    upstream::{
        ClientAuthentication, ConnectLink, Credential, CredentialSource, Credentials, Need, NoCredential,
        OauthSettings, Prompt, Registration, Resource, Server,
    },
    web::Origin,
};

/// What a connection gives.
pub type Outcome = Result<&'static str, NoCredential>;

/// Connections as a test says; nobody is connected until it says so.
#[derive(Default)]
pub struct ScriptedCredentials {
    connected: Mutex<HashMap<String, Outcome>>,
    renewals: Mutex<VecDeque<Outcome>>,
    log: Mutex<Log>,
}

/// What was asked.
#[derive(Debug, Clone, Default)]
pub struct Log {
    /// The tokens that were given up for renewal.
    pub renewed: Vec<String>,
    /// How often a renewed token was refused as well.
    pub refused_again: u32,
    /// The scopes that were asked for.
    pub scopes: Vec<String>,
}

/// The source of a connection of each user's own.
pub fn user_oauth() -> CredentialSource {
    CredentialSource::UserOauth(
        OauthSettings {
            registration: Registration::Manual {
                client_id: "client".to_owned(),
                authentication: ClientAuthentication::None,
                issuer: None,
            },
            scopes: Vec::new(),
            scope_delimiter: " ".to_owned(),
            prompt: Prompt::Auto,
            authorization_parameters: std::collections::BTreeMap::new(),
            resource: Resource::Send,
            protected_resource_metadata_url: None,
            assume_pkce: false,
        }
        .into(),
    )
}

/// Nobody has connected yet.
pub const UNCONNECTED: Outcome = Err(NoCredential::ConnectRequired(Need::Authenticating));
/// It ended.
pub const ENDED: Outcome = Err(NoCredential::ConnectRequired(Need::ReconsentRequired));
/// Only an administrator can connect.
pub const ADMINS_ONLY: Outcome = Err(NoCredential::ConnectRequired(Need::AdminConnectRequired));
/// Not at the moment.
pub const UNAVAILABLE: Outcome = Err(NoCredential::Unavailable { retry_after: Duration::from_millis(6_100) });

impl ScriptedCredentials {
    /// From now on `subject`'s connection gives this.
    pub fn set(&self, subject: &str, outcome: Outcome) {
        self.connected.lock().unwrap().insert(subject.to_owned(), outcome);
    }

    /// The next renewal gives this; the last one goes on giving it.
    pub fn then(&self, outcome: Outcome) {
        self.renewals.lock().unwrap().push_back(outcome);
    }

    /// What was asked so far.
    pub fn log(&self) -> Log {
        self.log.lock().unwrap().clone()
    }
}

fn credential(outcome: Outcome, permit: &Permit) -> Result<Credential, NoCredential> {
    let token = HeaderValue::try_from(format!("Bearer {}", outcome?)).expect("a token");
    let headers = CredentialSource::Headers([(header::AUTHORIZATION, token)].into());
    Ok(headers.fixed(permit).expect("a fixed credential"))
}

#[async_trait]
impl Credentials for ScriptedCredentials {
    fn at_hand(&self, _permit: &Permit, _server: &Server) -> Option<Credential> {
        None
    }

    async fn credential(&self, permit: &Permit, _server: &Server) -> Result<Credential, NoCredential> {
        tokio::task::yield_now().await;
        let subject = permit.principal().subject().as_str();
        credential(self.connected.lock().unwrap().get(subject).cloned().unwrap_or(UNCONNECTED), permit)
    }

    async fn renewed(
        &self,
        permit: &Permit,
        _server: &Server,
        refused: &Credential,
    ) -> Result<Credential, NoCredential> {
        tokio::task::yield_now().await;
        let refused = refused.headers().iter().map(|(_, value)| value.to_str().unwrap().to_owned());
        self.log.lock().unwrap().renewed.extend(refused);
        let mut renewals = self.renewals.lock().unwrap();
        let outcome = if renewals.len() > 1 { renewals.pop_front() } else { renewals.front().cloned() };
        credential(outcome.expect("a renewal in the script"), permit)
    }

    fn refused_again(&self, _permit: &Permit, _server: &Server, _refused: &Credential) {
        self.log.lock().unwrap().refused_again += 1;
    }

    async fn needs_scope(&self, _permit: &Permit, _server: &Server, scope: &str) {
        self.log.lock().unwrap().scopes.push(scope.to_owned());
    }

    fn connect_link(&self, origin: &Origin, permit: &Permit, server: &Server) -> ConnectLink {
        let (id, operation_id) = (&server.id, &permit.route().operation_id);
        ConnectLink {
            url: format!("{origin}/auth/connections/{id}/connect?browserTicket=t1&operationId={operation_id}"),
            elicitation_id: "elicitation-1".to_owned(),
            auth_profile_id: format!("{id}:user-oauth"),
        }
    }
}
