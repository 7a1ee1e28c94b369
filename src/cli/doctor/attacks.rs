//! Tokens where they have no business; every attempt must bounce off.

use http::StatusCode;
use url::Url;

use super::{
    endpoint::{REPORT, knock},
    http::Http,
    report::{Passed, Problem},
};
use crate::{
    crypto::{Secret, random_token},
    oauth::Challenge,
};

/// RFC 6750 section 3.1: a token that nobody issued is `invalid_token`.
pub(super) async fn try_junk(http: &Http, endpoint: &Url) -> Result<Passed<()>, Problem> {
    let answer = knock(http, endpoint, Some(&Secret::new(random_token("at_")))).await?;
    let error =
        Challenge::bearer(&answer.headers).and_then(|challenge| challenge.parameter("error").map(str::to_owned));
    if answer.status == StatusCode::UNAUTHORIZED && error.as_deref() == Some("invalid_token") {
        return Ok(Passed::new((), "401, invalid_token"));
    }
    Err(Problem::new("401 with error=\"invalid_token\" in the challenge", answer.summary(), REPORT))
}

/// RFC 9700 section 4.3.2: addresses end up in logs and histories, so a token there counts for nothing.
pub(super) async fn try_query(http: &Http, endpoint: &Url, access: &Secret) -> Result<Passed<()>, Problem> {
    let mut address = endpoint.clone();
    address.query_pairs_mut().append_pair("access_token", access.expose());
    let answer = knock(http, &address, None).await?;
    if answer.status == StatusCode::UNAUTHORIZED {
        return Ok(Passed::new((), "401"));
    }
    Err(Problem::new("401", answer.summary(), REPORT))
}

/// RFC 8707 section 2: a token is for its own resource.
pub(super) async fn try_other_path(http: &Http, endpoint: &Url, access: &Secret) -> Result<Passed<()>, Problem> {
    let mut address = endpoint.clone();
    address.set_path(&format!("{}/doctor", endpoint.path().trim_end_matches('/')));
    let answer = knock(http, &address, Some(access)).await?;
    if matches!(answer.status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::NOT_FOUND) {
        return Ok(Passed::new((), answer.status.to_string()));
    }
    Err(Problem::new(format_args!("401, 403 or 404 at {address}"), answer.summary(), REPORT))
}
