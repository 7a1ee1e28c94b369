//! One application that uses the SDK: what it stores, its person's browser, its connection.

use crate::{Options, report::Report};
use anyhow::{Context, Result, bail, ensure};
use rmcp::{
    ServiceExt,
    model::{CallToolRequestParams, ClientConfig, ErrorData, ProtocolVersion},
    service::{ClientLifecycleMode, ClientServiceExt, RoleClient, RunningService, ServiceError},
    transport::{
        StreamableHttpClientTransport,
        auth::{
            AuthClient, AuthorizationRequest, CredentialStore, InMemoryCredentialStore, OAuthState, StoredCredentials,
        },
        streamable_http_client::StreamableHttpClientTransportConfig,
    },
};
use serde_json::{Value, json};
use std::{
    path::PathBuf,
    time::{SystemTime, UNIX_EPOCH},
};
use tokio::process::Command;
use url::Url;

/// A registered application, before and after its person has signed in.
pub struct Application<'a> {
    options: &'a Options,
    report: &'a Report,
    jar: PathBuf,
    store: InMemoryCredentialStore,
    authorization_url: Url,
    state: Option<OAuthState>,
}

/// The pages that a browser went through.
pub struct Visited {
    /// As `browser.mjs` reports them.
    pub steps: Value,
}

/// A connected client.
pub struct Connection {
    /// The SDK's client.
    pub client: RunningService<RoleClient, ClientConfig>,
    auth: AuthClient<reqwest::Client>,
    store: InMemoryCredentialStore,
}

impl Visited {
    /// Whether a page of this kind was among them.
    pub fn contains(&self, page: &str) -> bool {
        self.steps.as_array().is_some_and(|steps| steps.iter().any(|step| step["page"] == page))
    }
}

impl<'a> Application<'a> {
    /// Discovers the authorization server from the route's challenge and registers.
    pub async fn start(options: &'a Options, name: &str, jar: PathBuf, report: &'a Report) -> Result<Self> {
        let unauthorized = reqwest::Client::new().post(options.url.clone()).body("{}").send().await?;
        ensure!(unauthorized.status() == 401, "without a token the route answered {}", unauthorized.status());
        let challenge = unauthorized.headers().get("www-authenticate").context("no challenge")?.to_str()?;

        let store = InMemoryCredentialStore::new();
        let mut manager = rmcp::transport::AuthorizationManager::new(options.url.clone()).await?;
        manager.set_credential_store(store.clone());
        let mut state = OAuthState::Unauthorized(manager);
        // Nothing listens there: the browser hands the redirect over instead of following it.
        let request = AuthorizationRequest::new("http://127.0.0.1:45454/callback")
            .with_client_name(name)
            .with_challenge(challenge);
        state.start_authorization(request).await?;
        let authorization_url = Url::parse(&state.get_authorization_url().await?)?;
        Ok(Self { options, report, jar, store, authorization_url, state: Some(state) })
    }

    /// The id that the registration gave.
    pub fn client_id(&self) -> Result<String> {
        let mut query = self.authorization_url.query_pairs();
        let (_, id) = query.find(|(name, _)| name == "client_id").context("no client id in the request")?;
        Ok(id.into_owned())
    }

    /// Signs the person in and redeems the code.
    pub async fn authorize(&mut self) -> Result<Visited> {
        let went = self.browse(self.authorization_url.as_str(), &[]).await?;
        let redirect = went["redirect"].as_str().with_context(|| format!("no way back: {went}"))?;
        let state = self.state.as_mut().context("signed in already")?;
        state.handle_callback_url(redirect).await?;
        let stored = self.store.load().await?.context("no tokens were stored")?;
        for token in tokens_of(&stored)? {
            self.report.secret(&token);
        }
        ensure!(stored.granted_scopes.iter().any(|scope| scope == "mcp:tools"), "granted {:?}", stored.granted_scopes);
        Ok(Visited { steps: went["visited"].clone() })
    }

    /// Follows a link to its last page.
    pub async fn visit(&self, link: &str) -> Result<Visited> {
        let went = self.browse(link, &["--visit"]).await?;
        ensure!(went["status"] == 200, "the link ended with {went}");
        Ok(Visited { steps: went["visited"].clone() })
    }

    /// Opens the MCP connection.
    pub async fn connect(&mut self, era: &str) -> Result<Connection> {
        let manager = self.state.take().and_then(OAuthState::into_authorization_manager).context("not signed in")?;
        let auth = AuthClient::new(reqwest::Client::new(), manager);
        let config = StreamableHttpClientTransportConfig::with_uri(self.options.url.as_str());
        let transport = StreamableHttpClientTransport::with_client(auth.clone(), config);
        let modern = vec![ProtocolVersion::V_2026_07_28];
        let client = match era {
            "legacy" => ClientConfig::default().serve(transport).await?,
            "auto" => {
                let mode = ClientLifecycleMode::Auto { preferred_versions: modern, legacy_version: None };
                ClientConfig::default().serve_with_lifecycle(transport, mode).await?
            }
            "modern" => {
                let mode = ClientLifecycleMode::Discover { preferred_versions: modern };
                ClientConfig::default().serve_with_lifecycle(transport, mode).await?
            }
            other => bail!("no such era: {other}"),
        };
        Ok(Connection { client, auth, store: self.store.clone() })
    }

    async fn browse(&self, url: &str, more: &[&str]) -> Result<Value> {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../browser.mjs");
        let mut command = Command::new("node");
        command.args([script, "--url", url, "--user", &self.options.user, "--password", &self.options.password]);
        command.args(more).arg("--jar").arg(&self.jar);
        if let Some(secrets) = &self.options.secrets {
            command.arg("--secrets").arg(secrets);
        }
        let output = command.kill_on_drop(true).output().await?;
        Ok(serde_json::from_slice(&output.stdout)?)
    }
}

impl Connection {
    /// Calls a tool and returns the text that it gives.
    pub async fn call(&self, tool: &'static str, arguments: Value) -> Result<String> {
        let result = self.client.call_tool(params(tool, arguments)).await?;
        let text = result.content.first().and_then(|content| content.as_text()).context("no text")?;
        Ok(text.text.clone())
    }

    /// Calls a tool and returns the error of the protocol that it must give.
    pub async fn refused(&self, tool: &'static str, arguments: Value) -> Result<ErrorData> {
        match self.client.call_tool(params(tool, arguments)).await {
            Err(ServiceError::McpError(error)) => Ok(error),
            other => bail!("no error of the protocol: {other:?}"),
        }
    }

    /// Calls `echo` by whatever name the server gives its argument.
    pub async fn echo(&self) -> Result<()> {
        let tools = self.client.list_all_tools().await?;
        let echo = tools.iter().find(|tool| tool.name == "echo").context("no echo")?;
        let argument =
            echo.input_schema["properties"].as_object().and_then(|all| all.keys().next()).context("no argument")?;
        let said = self.call("echo", json!({argument.as_str(): "hello from Rust"})).await?;
        ensure!(said.contains("hello from Rust"), "echo said {said}");
        Ok(())
    }

    /// The SDK refreshes a token that is about to end before it uses it.
    pub async fn refresh_ahead(&self) -> Result<()> {
        let before = self.stored().await?;
        let mut old = before.clone();
        // Received so long ago that it ends this second.
        let lifetime = serde_json::to_value(&before.token_response)?["expires_in"].as_u64().context("no expires_in")?;
        old.token_received_at = Some(SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs() - lifetime);
        self.store.save(old).await?;
        self.echo().await?;
        self.rotated(&before).await
    }

    /// The SDK refreshes once when its token is refused.
    pub async fn refresh_on_401(&self, report: &Report) -> Result<()> {
        let before = self.stored().await?;
        let mut spoiled = serde_json::to_value(&before)?;
        spoiled["token_response"]["access_token"] = json!("at_never_issued_by_this_gateway_0000000000000");
        self.store.save(serde_json::from_value(spoiled)?).await?;
        self.echo().await?;
        self.rotated(&before).await?;
        for token in tokens_of(&self.stored().await?)? {
            report.secret(&token);
        }
        Ok(())
    }

    /// Revokes the grant at the endpoint that the route's metadata names.
    pub async fn revoke(&self, route: &Url) -> Result<()> {
        let http = reqwest::Client::new();
        let metadata = route.join(&format!("/.well-known/oauth-authorization-server{}", route.path()))?;
        let metadata: Value = http.get(metadata).send().await?.json().await?;
        let endpoint = metadata["revocation_endpoint"].as_str().context("no revocation endpoint")?;
        let stored = self.stored().await?;
        let [_, refresh] = tokens_of(&stored)?;
        let form = [("token", refresh.as_str()), ("client_id", stored.client_id.as_str())];
        let answer = http.post(endpoint).form(&form).send().await?;
        ensure!(answer.status() == 200, "revocation answered {}", answer.status());
        // Without its refresh token the client cannot help itself.
        let refused = self.auth.auth_manager.lock().await.refresh_token().await;
        ensure!(refused.is_err(), "a revoked refresh token was redeemed");
        Ok(())
    }

    async fn stored(&self) -> Result<StoredCredentials> {
        self.store.load().await?.context("nothing is stored")
    }

    async fn rotated(&self, before: &StoredCredentials) -> Result<()> {
        let [old, new] = [tokens_of(before)?, tokens_of(&self.stored().await?)?];
        ensure!(old[0] != new[0], "the access token is the same");
        ensure!(old[1] != new[1], "the refresh token did not rotate");
        Ok(())
    }
}

fn params(tool: &'static str, arguments: Value) -> CallToolRequestParams {
    let mut params = CallToolRequestParams::new(tool);
    params.arguments = arguments.as_object().cloned();
    params
}

/// The access token and the refresh token.
fn tokens_of(stored: &StoredCredentials) -> Result<[String; 2]> {
    let response = serde_json::to_value(&stored.token_response)?;
    let token = |name: &str| response[name].as_str().map(str::to_owned).with_context(|| format!("no {name}"));
    Ok([token("access_token")?, token("refresh_token")?])
}
