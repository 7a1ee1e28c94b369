//! From a checked configuration to the parts of a gateway.

use std::{
    io,
    net::IpAddr,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::Context;
use async_trait::async_trait;
use base64::{Engine, engine::general_purpose::STANDARD};

use super::{
    admins::Admins, analytics::Analytics, endpoints::OwnEndpoints, key_file, landing::Landing, policy, tools::Tools,
};
use crate::{
    authorization_server::{self, AuthorizationServer},
    clock::Clock,
    config::{self, Config},
    crypto::{Key, KeyRing, Secret},
    identity::{self, Identity},
    interaction::ConnectPrompts,
    outbound,
    pins::Pins,
    proxy,
    registry::Registry,
    resource_server::ResourceServer,
    routes::{Route, Routes},
    store::{
        Changes, Store,
        postgres::{self, PostgresStore},
        sqlite::SqliteStore,
    },
    throttle::{self, Throttle},
    upstream::{
        self, IdJag,
        authorization::{AuthorizationClient, Discovery},
        client_key::ClientKey,
        connect::{self, Connect},
        connections::Connections,
    },
    web::{BasePath, Origin, OriginRules},
};

/// The store that the configuration names; nothing is read or written yet where that can be helped.
pub(super) fn store(config: &Config) -> anyhow::Result<Arc<dyn Store>> {
    Ok(match &config.store {
        config::Store::Sqlite { path } => {
            Arc::new(SqliteStore::open(path).with_context(|| format!("cannot open the store {}", path.display()))?)
        }
        config::Store::Postgres { url } => {
            Arc::new(PostgresStore::connect(url, &postgres::Settings::default()).context("`store.url` cannot be used")?)
        }
    })
}

/// What outlives a configuration.
pub(super) struct Shared {
    pub(super) store: Arc<dyn Store>,
    pub(super) changes: Arc<Changes>,
    pub(super) clock: Clock,
    pub(super) resolver: Arc<outbound::Resolver>,
    pub(super) throttle: Arc<Throttle>,
    pub(super) underway: Arc<proxy::Underway>,
    pub(super) pins: Arc<Pins>,
}

impl Shared {
    pub(super) fn new(config: &Config, store: Arc<dyn Store>, changes: Arc<Changes>, clock: Clock) -> Self {
        Self {
            throttle: Arc::new(Throttle::new(rate_limits(config), clock.clone())),
            underway: proxy::Underway::new(&changes, limits(config)),
            resolver: Arc::new(outbound::Resolver::system()),
            pins: Pins::new(&changes),
            store,
            changes,
            clock,
        }
    }
}

/// The gateway's edge, as the configuration has it, with everything behind it.
pub(super) fn setup(config: &Config, shared: &Shared, key_ring: &Arc<KeyRing>) -> anyhow::Result<proxy::Setup> {
    let Shared { store, changes, clock, resolver, throttle, .. } = shared;
    let (store, clock, key_ring) = (Arc::clone(store), clock.clone(), Arc::clone(key_ring));
    let routes = Arc::new(Routes::new(config.routes.iter().map(route)));
    let base_path = BasePath::new(config.server.base_path.as_str());
    let outbound_settings = outbound_settings(config)?;
    let client = outbound::Client::new(&outbound_settings, Arc::clone(resolver))
        .context("the outbound HTTP client cannot start")?;
    let prober = outbound::Prober::new(&outbound_settings, Arc::clone(resolver))
        .context("the outbound HTTP client cannot start")?;
    let servers = Arc::new(servers(config)?);
    let policies = Arc::new(policy::policies(config, &shared.pins)?);
    let identity = Arc::new(Identity::new(
        super::identity_provider::provider(config, client.clone(), clock.clone())?,
        super::identity_provider::trusted_issuers(config, &client, &clock)?,
        identity::Settings {
            base_path: base_path.clone(),
            session_ttl: config.browser_login.session_ttl,
            state_ttl: config.browser_login.state_ttl,
            keep_tokens: config.routes.iter().any(|route| route.upstream.auth.mode() == config::AuthMode::IdJag),
        },
        Arc::clone(&store),
        Arc::clone(&key_ring),
        clock.clone(),
    ));
    let client_key = Arc::new(ClientKey::new(Arc::clone(&store), Arc::clone(&key_ring), clock.clone()));
    let connections = Connections::new(
        Arc::clone(&store),
        Arc::clone(&key_ring),
        clock.clone(),
        AuthorizationClient::new(client.clone(), client_key, clock.clone()),
        Discovery::new(client.clone(), prober, clock.clone()),
        base_path.clone(),
    );
    connections.follow(changes);
    let connect = Arc::new(Connect::new(
        connect::Settings {
            base_path: base_path.clone(),
            admins: config.admins.clone(),
            policies: Arc::clone(&policies),
        },
        Arc::clone(&connections),
        Arc::clone(&identity),
        Arc::clone(&store),
        Arc::clone(changes),
        Arc::clone(&key_ring),
        clock.clone(),
        Arc::clone(&routes),
        Arc::clone(&servers),
    ));
    let credentials = Arc::new(IdJag::new(Arc::clone(&connections), Arc::clone(&identity), clock.clone()));
    let authorization_server = AuthorizationServer::new(
        authorization_server::Settings {
            base_path: base_path.clone(),
            access_token_ttl: config.gateway.access_token_ttl,
            grant_ttl: config.gateway.refresh_token_ttl,
            refresh_grace: config.gateway.refresh_grace,
            interaction_ttl: config.browser_login.state_ttl,
            cimd_enabled: config.gateway.cimd_enabled,
        },
        Arc::clone(&routes),
        Arc::clone(&identity),
        Arc::clone(&connect) as Arc<dyn ConnectPrompts>,
        Arc::clone(&store),
        client,
        Arc::clone(throttle),
        Arc::clone(changes),
        clock.clone(),
    );
    Ok(proxy::Setup {
        endpoints: Arc::new(OwnEndpoints {
            analytics: Analytics {
                base_path: base_path.clone(),
                admins: Admins { identity: Arc::clone(&identity), names: config.admins.clone() },
                store: Arc::clone(&store),
                clock: clock.clone(),
            },
            registry: Registry::new(
                routes.iter().filter(|route| policies.is_for_everybody(&route.operation_id)).cloned(),
                clock.now(),
            ),
            tools: Tools {
                base_path: base_path.clone(),
                admins: Admins { identity: Arc::clone(&identity), names: config.admins.clone() },
                routes: Arc::clone(&routes),
                holding: config
                    .routes
                    .iter()
                    .filter(|route| route.tool_pinning == config::ToolPinning::Hold)
                    .map(|route| route.operation_id.clone())
                    .collect(),
                store: Arc::clone(&store),
                changes: Arc::clone(changes),
                clock: clock.clone(),
            },
            landing: Landing {
                base_path: base_path.clone(),
                identity: Arc::clone(&identity),
                routes: Arc::clone(&routes),
                policies: Arc::clone(&policies),
            },
            base_path,
            authorization_server,
            identity,
            connect,
            throttle: Arc::clone(throttle),
        }),
        resource_server: ResourceServer::with_claims(store, changes, policy::claim_paths(config)?, clock.clone()),
        routes,
        policies,
        servers,
        credentials,
        origin_rules: OriginRules {
            public_origins: config.server.public_origins.iter().map(origin).collect::<anyhow::Result<_>>()?,
            trusted_proxies: config.server.trusted_proxies.clone(),
        },
        allowed_origins: allowed_origins(config),
        key_ring,
        clock,
    })
}

/// How much may be under way at once.
pub(super) fn limits(config: &Config) -> proxy::Limits {
    let limits = &config.server.limits;
    proxy::Limits {
        connections: proxy::ConnectionLimits {
            all: limits.connections,
            of_address: limits.connections_per_address,
            proxies: config.server.trusted_proxies.clone(),
            patience: proxy::Patience::default(),
        },
        of_user: limits.requests_per_user,
        calls_of_route: limits.calls_per_route,
        streams: limits.streams,
        ..proxy::Limits::default()
    }
}

pub(super) const fn rate_limits(config: &Config) -> throttle::Settings {
    let config::RateLimits { registration, authorization, token, login, connect } = config.rate_limits;
    throttle::Settings { registration, authorization, token, login, connect }
}

fn allowed_origins(config: &Config) -> proxy::AllowedOrigins {
    let mut allowed = proxy::AllowedOrigins::default();
    for entry in &config.server.allowed_origins {
        match entry {
            config::AllowedOrigin::Any => allowed.any = true,
            config::AllowedOrigin::Exactly(only) => allowed.listed.push(only.to_string()),
        }
    }
    allowed
}

/// An origin that was lost on the way would leave the gateway open to every `Host`, so it stops the start.
fn origin(origin: &config::Origin) -> anyhow::Result<Origin> {
    Origin::parse(&origin.to_string()).with_context(|| format!("{origin} cannot be used as an origin"))
}

pub(super) fn key_ring(config: &Config) -> anyhow::Result<KeyRing> {
    let mut keys: Vec<Key> =
        config.encryption_keys.iter().map(|key| Key { id: key.id.clone(), bytes: key.bytes.clone() }).collect();
    if keys.is_empty() {
        keys.push(key_file::load_or_create(&embedded_key_path(&config.store))?);
    }
    KeyRing::new(&keys).context("`encryption.keys` cannot be used")
}

/// Beside the database file; PostgreSQL needs `encryption.keys`, which the configuration has checked.
fn embedded_key_path(store: &config::Store) -> PathBuf {
    match store {
        config::Store::Sqlite { path } => path.with_extension("key"),
        config::Store::Postgres { .. } => PathBuf::from("sallyport.key"),
    }
}

fn route(route: &config::Route) -> Route {
    Route {
        path: route.path.as_str().to_owned(),
        operation_id: route.operation_id.clone(),
        title: route.summary.clone(),
        upstream_id: route.upstream.id.clone(),
        upstream_title: route.upstream.display_name.clone(),
    }
}

pub(super) fn outbound_settings(config: &Config) -> anyhow::Result<outbound::Settings> {
    Ok(outbound::Settings {
        allow_private: config.outbound.allow_private_networks.clone(),
        allow_loopback: false,
        extra_ca_pem: read_optional(config.outbound.ca_file.as_deref())?,
        user_agent: USER_AGENT.to_owned(),
    })
}

fn servers(config: &Config) -> anyhow::Result<upstream::Servers> {
    let servers = config.routes.iter().map(|route| Ok((route.operation_id.clone(), server(config, &route.upstream)?)));
    Ok(upstream::Servers::new(servers.collect::<anyhow::Result<Vec<_>>>()?))
}

fn server(config: &Config, upstream: &config::Upstream) -> anyhow::Result<upstream::Server> {
    let ca_pem = match (&upstream.tls.ca_file, &config.outbound.ca_file) {
        (Some(own), _) => Some(read(own)?),
        (None, Some(further)) => Some(with_system_authorities(read(further)?)),
        (None, None) => None,
    };
    let client_identity = upstream.tls.client.as_ref().map(|client| {
        let key = String::from_utf8(read(&client.key)?)
            .with_context(|| format!("{} is not a PEM file", client.key.display()))?;
        anyhow::Ok((read(&client.cert)?, Secret::new(key)))
    });
    let credential = match &upstream.auth {
        config::UpstreamAuth::Header(headers) => upstream::CredentialSource::Headers(headers.as_slice().into()),
        config::UpstreamAuth::None => upstream::CredentialSource::None,
        config::UpstreamAuth::UserOauth(oauth) => {
            upstream::CredentialSource::UserOauth(Arc::new(oauth_settings(oauth)))
        }
        config::UpstreamAuth::SharedOauth(oauth) => {
            upstream::CredentialSource::SharedOauth(Arc::new(oauth_settings(oauth)))
        }
        config::UpstreamAuth::UserKey(key) => upstream::CredentialSource::UserKey(Arc::new(upstream::KeySettings {
            header: key.header.clone(),
            scheme: key.scheme.clone(),
            help: key.help.clone(),
        })),
        config::UpstreamAuth::IdJag(oauth) => upstream::CredentialSource::IdJag(Arc::new(oauth_settings(oauth))),
    };
    Ok(upstream::Server {
        id: upstream.id.clone(),
        url: upstream.url.clone(),
        http: match upstream.http {
            config::HttpVersion::Http1 => upstream::HttpVersion::Http1,
            config::HttpVersion::Http2 => upstream::HttpVersion::Http2,
            config::HttpVersion::Auto => upstream::HttpVersion::Negotiated,
        },
        connect_timeout: upstream.connect_timeout,
        response_timeout: upstream.response_timeout,
        forward_search: upstream.forward_search,
        follow_redirects: upstream.follow_redirects,
        tls: upstream::Tls { ca_pem, client_identity: client_identity.transpose()? },
        credential,
    })
}

fn oauth_settings(oauth: &config::UpstreamOauth) -> upstream::OauthSettings {
    let registration = match &oauth.registration {
        config::ClientRegistration::Auto => upstream::Registration::Auto,
        config::ClientRegistration::Dynamic => upstream::Registration::Dynamic,
        config::ClientRegistration::Manual { client_id, auth, issuer } => upstream::Registration::Manual {
            client_id: client_id.clone(),
            issuer: issuer.clone(),
            authentication: match auth {
                config::ClientAuth::None => upstream::ClientAuthentication::None,
                config::ClientAuth::SecretBasic(secret) => upstream::ClientAuthentication::SecretBasic(secret.clone()),
                config::ClientAuth::SecretPost(secret) => upstream::ClientAuthentication::SecretPost(secret.clone()),
                config::ClientAuth::PrivateKeyJwt => upstream::ClientAuthentication::PrivateKeyJwt,
            },
        },
    };
    upstream::OauthSettings {
        registration,
        scopes: oauth.scopes.clone(),
        scope_delimiter: oauth.scope_delimiter.clone(),
        prompt: match oauth.prompt {
            config::Prompt::Auto => upstream::Prompt::Auto,
            config::Prompt::Never => upstream::Prompt::Never,
            config::Prompt::None => upstream::Prompt::Always("none"),
            config::Prompt::Login => upstream::Prompt::Always("login"),
            config::Prompt::Consent => upstream::Prompt::Always("consent"),
            config::Prompt::SelectAccount => upstream::Prompt::Always("select_account"),
        },
        authorization_parameters: oauth.authorization_parameters.clone(),
        resource: match &oauth.resource {
            config::ResourceParameter::Send => upstream::Resource::Send,
            config::ResourceParameter::Omit => upstream::Resource::Omit,
            config::ResourceParameter::Uri(uri) => upstream::Resource::Uri(uri.clone()),
        },
        protected_resource_metadata_url: oauth.protected_resource_metadata_url.clone(),
        assume_pkce: oauth.assume_pkce,
    }
}

/// Authorities of the operator beside the machine's own, since Pingora takes a peer's list in place of the usual one.
fn with_system_authorities(mut pem: Vec<u8>) -> Vec<u8> {
    for certificate in rustls_native_certs::load_native_certs().certs {
        let base64 = STANDARD.encode(&certificate);
        pem.extend_from_slice(
            format!("\n-----BEGIN CERTIFICATE-----\n{base64}\n-----END CERTIFICATE-----\n").as_bytes(),
        );
    }
    pem
}

fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}

fn read_optional(path: Option<&Path>) -> anyhow::Result<Option<Vec<u8>>> {
    path.map(read).transpose()
}

/// Some hosts refuse calls without one.
const USER_AGENT: &str = concat!("sallyport/", env!("CARGO_PKG_VERSION"));

/// The resolver as the edge asks it.
pub(super) struct Upstreams(pub(super) Arc<outbound::Resolver>);

#[async_trait]
impl proxy::Resolve for Upstreams {
    async fn lookup(&self, host: &str) -> io::Result<Arc<[IpAddr]>> {
        self.0.lookup(host).await.map_err(io::Error::other)
    }
}
