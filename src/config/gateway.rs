//! `browserLogin`, `gateway` and `log`.

use std::time::Duration;

use crate::config::at::At;
use crate::config::check::Check;
use crate::config::file;
use crate::config::file::{LogFormat, LogLevel};
use crate::config::id_jag::IdJagIssuer;
use crate::config::problem::Fault;

/// The browser's sign-in at the gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrowserLogin {
    /// How long a browser stays signed in.
    pub session_ttl: Duration,
    /// How long a login that was begun may take.
    pub state_ttl: Duration,
}

/// Tokens that the gateway issues to MCP clients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gateway {
    /// The lifetime of an access token.
    pub access_token_ttl: Duration,
    /// The lifetime of a grant and its refresh tokens.
    pub refresh_token_ttl: Duration,
    /// How long a rotated refresh token still yields the successors that it yielded before.
    pub refresh_grace: Duration,
    /// Whether clients may identify themselves with a Client ID Metadata Document.
    pub cimd_enabled: bool,
    /// Identity providers whose identity assertions clients may redeem.
    pub id_jag_issuers: Vec<IdJagIssuer>,
}

/// What is logged, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    /// The form of log lines.
    pub format: LogFormat,
    /// The least severe level that is written.
    pub level: LogLevel,
}

impl BrowserLogin {
    /// Checks the section, and the two keys of `identity` that mean the same.
    pub fn check(file: &file::BrowserLogin, identity: &file::Identity, check: &mut Check) -> Self {
        let session = either(&file.session_ttl_seconds, &identity.session_ttl_seconds, check);
        let state = either(&file.state_ttl_seconds, &identity.state_ttl_seconds, check);
        Self {
            session_ttl: check.seconds(session, file::SESSION_TTL_SECONDS, 60..=YEAR),
            state_ttl: check.seconds(state, file::STATE_TTL_SECONDS, 30..=DAY),
        }
    }
}

impl Gateway {
    /// Checks the section.
    pub fn check(file: &file::Gateway, check: &mut Check) -> Self {
        let access = &file.access_token_ttl_seconds;
        let refresh = &file.refresh_token_ttl_seconds;
        let gateway = Self {
            access_token_ttl: check.seconds(access, file::ACCESS_TOKEN_TTL_SECONDS, 10..=30 * DAY),
            refresh_token_ttl: check.seconds(refresh, file::REFRESH_TOKEN_TTL_SECONDS, 60..=100 * YEAR),
            refresh_grace: check.seconds(&file.refresh_grace_seconds, file::REFRESH_GRACE_SECONDS, 0..=3600),
            cimd_enabled: file.cimd_enabled.get().copied().unwrap_or(true),
            id_jag_issuers: IdJagIssuer::check_all(&file.id_jag_issuers, check),
        };
        if gateway.refresh_token_ttl < gateway.access_token_ttl {
            check.invalid(refresh, "at least accessTokenTtlSeconds, since a token ends with its grant");
        }
        gateway
    }
}

impl Log {
    /// Checks the section.
    pub fn check(file: &file::Log) -> Self {
        Self {
            format: file.format.get().copied().unwrap_or(LogFormat::Auto),
            level: file.level.get().copied().unwrap_or(LogLevel::Info),
        }
    }
}

fn either<'f>(here: &'f At<i64>, there: &'f At<i64>, check: &mut Check) -> &'f At<i64> {
    if there.is_unset() {
        return here;
    }
    if !here.is_unset() {
        check.report(&there.place, Fault::Conflict { other: here.place.path.clone() });
    }
    there
}

const DAY: u64 = 86_400;
const YEAR: u64 = 365 * DAY;
