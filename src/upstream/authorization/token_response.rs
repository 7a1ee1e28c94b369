//! The answer of a token endpoint (RFC 6749 sections 5.1 and 5.2), as real servers give it.

use std::time::Duration;

use bytes::Bytes;
use serde_json::{Map, Value};

use super::{UpstreamError, answer, fault::is_busy, tokens::Error};
use crate::{crypto::Secret, outbound::Fetched};

/// What an upstream granted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tokens {
    /// The access token; fit to stand in a header.
    pub access_token: Secret,
    /// The refresh token: the new one, or after a refresh that brought none the old one.
    pub refresh_token: Option<Secret>,
    /// How long the access token lives; none if the upstream does not say, or says nonsense.
    pub expires_in: Option<Duration>,
    /// The scope that was granted, separated by spaces; none if the upstream does not say.
    pub scope: Option<String>,
}

/// What was to be exchanged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Grant {
    Code,
    RefreshToken,
    Assertion,
}

/// Reads an answer. What decides is whether there is an access token, not the status: Supabase sends 201 with tokens,
/// GitHub and Slack 200 with errors.
pub(super) fn parse(fetched: Fetched<Bytes>, host: &str, grant: Grant, delimiter: &str) -> Result<Tokens, Error> {
    let Fetched { status, retry_after, body, .. } = fetched;
    let host = || host.to_owned();
    let members = answer::parse(&body);
    if let Some(granted) = members.as_ref().and_then(granted) {
        if needs_proof(granted) {
            return Err(Error::TokenType { host: host() });
        }
        if let Some(access_token) = secret(granted, "access_token") {
            return Ok(Tokens {
                access_token,
                refresh_token: secret(granted, "refresh_token"),
                expires_in: granted.get("expires_in").and_then(lifetime),
                scope: scope(granted, delimiter),
            });
        }
    }
    if is_busy(status) {
        return Err(Error::Busy { host: host(), status, retry_after });
    }
    let Some(error) = members.as_ref().and_then(UpstreamError::of) else {
        return Err(Error::NotATokenResponse { host: host(), status });
    };
    Err(match error.code() {
        _ if is_end(&error, grant) => Error::Ended { host: host(), error },
        _ if is_unknown_client(&error) => Error::ClientRejected { host: host(), error },
        "temporarily_unavailable" | "server_error" | "slow_down" | "ratelimited" => {
            Error::Busy { host: host(), status, retry_after }
        }
        _ => Error::Refused { host: host(), status, error },
    })
}

/// The object with the access token. Quirk "Slack: classic `oauth.v2.access` nests user token under
/// `authed_user`".
fn granted(members: &Map<String, Value>) -> Option<&Map<String, Value>> {
    let nested = || members.get("authed_user").and_then(Value::as_object);
    [Some(members), nested()].into_iter().flatten().find(|object| secret(object, "access_token").is_some())
}

/// A token that works only together with a proof that we did not offer. Every other type is taken for a bearer token,
/// however it is spelled, and if it is not said: Slack says `user`.
fn needs_proof(granted: &Map<String, Value>) -> bool {
    let token_type = granted.get("token_type").and_then(Value::as_str).unwrap_or_default();
    ["dpop", "pop", "mac"].iter().any(|proof| token_type.eq_ignore_ascii_case(proof))
}

fn secret(object: &Map<String, Value>, name: &str) -> Option<Secret> {
    let text = object.get(name)?.as_str()?;
    let fits = (1..=MAX_TOKEN).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
    fits.then(|| Secret::new(text))
}

/// Quirks "GitHub: missing `expires_in` must mean unknown", "Many: `expires_in` missing, `0`, string, or malformed".
/// A number that no honest lifetime has is a date or milliseconds, which means unknown, too.
fn lifetime(value: &Value) -> Option<Duration> {
    let seconds = match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    };
    let duration = Duration::try_from_secs_f64(seconds?.floor()).ok()?;
    (!duration.is_zero() && duration <= LONGEST).then_some(duration)
}

fn scope(granted: &Map<String, Value>, delimiter: &str) -> Option<String> {
    let separates = |character: char| character.is_whitespace() || delimiter.contains(character);
    let scopes: Vec<&str> = match granted.get("scope")? {
        Value::String(text) => text.split(separates).filter(|scope| !scope.is_empty()).collect(),
        Value::Array(scopes) => scopes.iter().filter_map(Value::as_str).collect(),
        _ => return None,
    };
    Some(scopes.join(" ")).filter(|scope| !scope.is_empty() && scope.len() <= MAX_TOKEN)
}

/// Whether the grant is over: `invalid_grant`, or what some say instead.
fn is_end(error: &UpstreamError, grant: Grant) -> bool {
    let code = error.code();
    // After `invalid_grant` come the words of GitHub, Slack and Supabase.
    match grant {
        // The assertion alone is over; another one may do.
        Grant::Assertion => code == "invalid_grant",
        Grant::Code => matches!(code, "invalid_grant" | "bad_verification_code" | "invalid_code" | "code_already_used"),
        Grant::RefreshToken => match code {
            "invalid_grant"
            | "bad_refresh_token"
            | "invalid_refresh_token"
            | "refresh_token_not_found"
            | "refresh_token_already_used" => true,
            // Atlassian: 403 `unauthorized_client` "refresh_token is invalid"; Metabase and others: `invalid_request`.
            // These codes mean something else elsewhere, so only a description of a dead refresh token makes them an end.
            "invalid_request" | "unauthorized_client" => error.description().is_some_and(calls_refresh_token_dead),
            _ => false,
        },
    }
}

fn calls_refresh_token_dead(description: &str) -> bool {
    let text = description.to_ascii_lowercase().replace(['_', '-'], " ");
    let says = |words: &[&str]| words.iter().any(|word| text.contains(word));
    let dead = ["invalid", "expired", "revoked", "not found", "unknown", "already used", "does not exist", "not valid"];
    says(&["refresh token"]) && says(&dead) && !says(&["missing", "required", "must"])
}

/// Whether the authorization server does not know us, or no longer.
fn is_unknown_client(error: &UpstreamError) -> bool {
    match error.code() {
        // RFC 6749; GitHub; Slack.
        "invalid_client"
        | "unauthorized_client"
        | "incorrect_client_credentials"
        | "invalid_client_id"
        | "bad_client_secret" => true,
        // Supabase: 422 without a code.
        "" => error.description().is_some_and(|text| text.eq_ignore_ascii_case("unrecognized client_id")),
        _ => false,
    }
}

const MAX_TOKEN: usize = 16 * 1024;
/// Ten years.
const LONGEST: Duration = Duration::from_secs(10 * 366 * 86_400);
