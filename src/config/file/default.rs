//! The default values, for the schema and for the checks.

/// `server.listen`.
pub const LISTEN: &str = "127.0.0.1:8080";
/// `server.adminListen`.
pub const ADMIN_LISTEN: &str = "127.0.0.1:9464";
/// `server.basePath`.
pub const BASE_PATH: &str = "/";
/// `server.trustedProxies`: loopback and private ranges.
pub const TRUSTED_PROXIES: [&str; 6] =
    ["127.0.0.0/8", "::1/128", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7"];
/// `server.gracePeriodSeconds`.
pub const GRACE_PERIOD_SECONDS: i64 = 25;
/// `server.limits.connections`.
pub const CONNECTIONS: i64 = 20_000;
/// `server.limits.connectionsPerAddress`.
pub const CONNECTIONS_PER_ADDRESS: i64 = 1_000;
/// `server.limits.streams`.
pub const STREAMS: i64 = 10_000;
/// `server.limits.callsPerRoute`.
pub const CALLS_PER_ROUTE: i64 = 2_000;
/// `server.limits.requestsPerUser`.
pub const REQUESTS_PER_USER: i64 = 500;
/// `store.url`.
pub const STORE_URL: &str = "sqlite:data/sallyport.db";
/// `identity.scope`.
pub const IDENTITY_SCOPE: &str = "openid profile email";
/// `identity.remoteTimeoutMs`.
pub const REMOTE_TIMEOUT_MS: i64 = 10_000;
/// `identity.users`, for the provider `dev`.
pub const DEV_USER: &str = "dev-browser-user";
/// `browserLogin.sessionTtlSeconds`: 8 hours.
pub const SESSION_TTL_SECONDS: i64 = 28_800;
/// `browserLogin.stateTtlSeconds`: 15 minutes.
pub const STATE_TTL_SECONDS: i64 = 900;
/// `gateway.accessTokenTtlSeconds`: 15 minutes.
pub const ACCESS_TOKEN_TTL_SECONDS: i64 = 900;
/// `gateway.refreshTokenTtlSeconds`: about 10 years.
pub const REFRESH_TOKEN_TTL_SECONDS: i64 = 315_360_000;
/// `gateway.refreshGraceSeconds`.
pub const REFRESH_GRACE_SECONDS: i64 = 30;
/// `rateLimits.registration`.
pub const REGISTRATIONS_PER_MINUTE: i64 = 30;
/// `rateLimits.authorization`.
pub const AUTHORIZATIONS_PER_MINUTE: i64 = 120;
/// `rateLimits.token`.
pub const TOKENS_PER_MINUTE: i64 = 300;
/// `rateLimits.login`.
pub const LOGINS_PER_MINUTE: i64 = 60;
/// `rateLimits.connect`.
pub const CONNECTS_PER_MINUTE: i64 = 120;
/// `upstream.connectTimeoutMs`.
pub const CONNECT_TIMEOUT_MS: i64 = 5_000;
/// `upstream.responseTimeoutMs`: 5 minutes.
pub const RESPONSE_TIMEOUT_MS: i64 = 300_000;
/// `capabilities.accessControl.roleClaim`.
pub const ROLE_CLAIM: &str = "roles";
/// `capabilities.accessControl.groupClaim`.
pub const GROUP_CLAIM: &str = "groups";

/// `telemetry.eventsFileMegabytes`.
pub const EVENTS_FILE_MEGABYTES: i64 = 64;
/// `telemetry.eventsFileCount`.
pub const EVENTS_FILE_COUNT: i64 = 5;
/// `telemetry.tracePercent`.
pub const TRACE_PERCENT: i64 = 100;

/// A number as a default of the schema.
pub const fn number<const N: i64>() -> i64 {
    N
}

/// A boolean as a default of the schema.
pub const fn flag<const B: bool>() -> bool {
    B
}

/// An empty list as a default of the schema.
pub const fn nothing() -> [&'static str; 0] {
    []
}

/// `null` as a default of the schema.
pub const fn null() {}

/// A section whose keys all have defaults: not required, and without a default of its own in the schema.
pub const fn section() -> Section {
    Section
}

/// Not serializable, so that the schema holds no default.
pub struct Section;

/// The default of `server.listen` in the schema.
pub const fn listen() -> [&'static str; 1] {
    [LISTEN]
}

/// The default of `server.trustedProxies` in the schema.
pub const fn trusted_proxies() -> [&'static str; 6] {
    TRUSTED_PROXIES
}

/// The default of `identity.users` in the schema.
pub const fn dev_users() -> [&'static str; 1] {
    [DEV_USER]
}

macro_rules! words {
    ($($name:ident = $word:expr),+ $(,)?) => {
        $(
            #[doc = concat!("`", stringify!($name), "` as a default of the schema.")]
            pub const fn $name() -> &'static str {
                $word
            }
        )+
    };
}

words! {
    admin_listen = ADMIN_LISTEN,
    base_path = BASE_PATH,
    store_url = STORE_URL,
    identity_scope = IDENTITY_SCOPE,
    user_oauth = "user-oauth",
    auto = "auto",
    info = "info",
    send = "send",
    space = " ",
    http_1 = "1",
    north_america = "north-america",
    roles = ROLE_CLAIM,
    groups = GROUP_CLAIM,
    log = "log",
}
