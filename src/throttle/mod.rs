//! How often one address, and one client that is proven, may use the endpoints that cost us something.
//!
//! Every address has a bucket for each door; it fills up again evenly (GCRA). The relay is not behind a door: whoever has
//! a token is limited by nothing here.

mod buckets;

use std::sync::{PoisonError, RwLock};

use http::{StatusCode, header};

use self::buckets::Buckets;
use crate::{
    clock::Clock,
    identity::{Trouble, trouble_page},
    oauth::TokenError,
    store::GrantId,
    web::{Caller, Request, Response},
};

/// What is limited on its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Door {
    /// Dynamic client registration.
    Registration,
    /// The authorization endpoint and the consent page.
    Authorization,
    /// The token and the revocation endpoint.
    Token,
    /// Signing in and out.
    Login,
    /// Connecting an upstream, the account page, and that of administrators.
    Connect,
}

/// How many requests a minute one address may make at each door; 0: as many as it likes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// [`Door::Registration`].
    pub registration: u32,
    /// [`Door::Authorization`].
    pub authorization: u32,
    /// [`Door::Token`].
    pub token: u32,
    /// [`Door::Login`].
    pub login: u32,
    /// [`Door::Connect`].
    pub connect: u32,
}

/// Whose bucket.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Key {
    Address(Door, Caller),
    Grant(GrantId),
}

/// The limits of one process, with a bounded memory.
pub struct Throttle {
    settings: RwLock<Settings>,
    buckets: Buckets<Key>,
    clock: Clock,
}

impl Throttle {
    /// Full buckets for everybody.
    pub fn new(settings: Settings, clock: Clock) -> Self {
        Self { settings: RwLock::new(settings), buckets: Buckets::new(REMEMBERED), clock }
    }

    /// Limits otherwise from now on; what is in the buckets stays.
    pub fn limit(&self, settings: Settings) {
        *self.settings.write().unwrap_or_else(PoisonError::into_inner) = settings;
    }

    /// The answer to a request that comes too soon after others of its address; none if it may pass.
    pub fn refuse(&self, door: Door, request: &Request) -> Option<Response> {
        let settings = *self.settings.read().unwrap_or_else(PoisonError::into_inner);
        let limit = match door {
            Door::Registration => settings.registration,
            Door::Authorization => settings.authorization,
            Door::Token => settings.token,
            Door::Login => settings.login,
            Door::Connect => settings.connect,
        };
        let caller = request.caller?;
        let limit = if caller.is_shared() { limit.saturating_mul(SHARED) } else { limit };
        let wait = self.buckets.take(Key::Address(door, caller), limit, self.clock.now()).err()?;
        tracing::info!(event = "mcp_auth_request_throttled", requestId = %request.id, door = ?door,
            clientAddress = %caller, outcome = "denied", failureOrigin = "client", reasonCode = REASON,
            "an address makes too many requests");
        Some(match door {
            Door::Registration | Door::Token => too_many(wait).for_every_origin(),
            Door::Authorization | Door::Login | Door::Connect => {
                trouble_page(request, &TOO_MANY).with(header::RETRY_AFTER, &wait.to_string())
            }
        })
    }

    /// The answer to a client that uses one grant too often; none if it may go on.
    ///
    /// It is asked once the client has shown a token of the grant: a limit by client id alone would let anybody who knows
    /// the id lock the client out, and all installations of a program at once where they share an id.
    pub fn refuse_grant(&self, request: &Request, grant: &GrantId) -> Option<Response> {
        let wait = self.buckets.take(Key::Grant(grant.clone()), PER_GRANT, self.clock.now()).err()?;
        tracing::info!(event = "mcp_auth_request_throttled", requestId = %request.id, grantId = %grant,
            outcome = "denied", failureOrigin = "client", reasonCode = REASON, "a client refreshes too often");
        Some(too_many(wait))
    }
}

/// OAuth has no code of its own for this; clients take `temporarily_unavailable` as one to try again after.
fn too_many(wait: u64) -> Response {
    let body = TokenError::TemporarilyUnavailable.described("There were too many requests; try again later.");
    Response::json(StatusCode::TOO_MANY_REQUESTS, &body).because(REASON).with(header::RETRY_AFTER, &wait.to_string())
}

const TOO_MANY: Trouble<'static> = Trouble {
    status: StatusCode::TOO_MANY_REQUESTS,
    reason: REASON,
    title: "Please wait a moment",
    happened: "Too many requests came from your network address in a short time.",
    next: "Wait a minute, then go back to your application and connect again.",
    details: &[],
};

const REASON: &str = "too_many_requests";
/// Refreshes a minute of one grant: many processes of a program may share it.
const PER_GRANT: u32 = 60;
/// How much more a trusted proxy may do that does not say for whom it acts: everybody may be behind it.
const SHARED: u32 = 20;
/// How many buckets are remembered; of more, those that were not used for longest are full again.
const REMEMBERED: usize = 32 * 1024;
