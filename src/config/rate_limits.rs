//! `rateLimits`.

use crate::config::at::At;
use crate::config::check::Check;
use crate::config::file;

/// How many requests a minute one network address may make to the gateway's own endpoints; 0: as many as it likes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimits {
    /// Dynamic client registration.
    pub registration: u32,
    /// The authorization endpoint and the consent page.
    pub authorization: u32,
    /// The token and the revocation endpoint.
    pub token: u32,
    /// Signing in and out.
    pub login: u32,
    /// Connecting an upstream, and the account page.
    pub connect: u32,
}

impl RateLimits {
    /// Checks the section.
    pub fn check(file: &file::RateLimits, check: &mut Check) -> Self {
        let mut limit = |at: &At<i64>, default: i64| {
            let number = check.number(at, 0..=MOST).unwrap_or(default.unsigned_abs());
            u32::try_from(number).unwrap_or(u32::MAX)
        };
        Self {
            registration: limit(&file.registration, file::REGISTRATIONS_PER_MINUTE),
            authorization: limit(&file.authorization, file::AUTHORIZATIONS_PER_MINUTE),
            token: limit(&file.token, file::TOKENS_PER_MINUTE),
            login: limit(&file.login, file::LOGINS_PER_MINUTE),
            connect: limit(&file.connect, file::CONNECTS_PER_MINUTE),
        }
    }
}

/// A bucket counts in milliseconds.
const MOST: u64 = 60_000;
