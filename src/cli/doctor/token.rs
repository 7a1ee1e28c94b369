//! The token endpoint: codes, refresh tokens, revocation (RFC 6749, RFC 7009), and what must not work there.

use std::time::{Duration, Instant};

use http::{HeaderMap, StatusCode, header};
use serde_json::Value;

use super::{
    authorization::{Authorized, Request},
    browser::Browser,
    endpoint::{REPORT, knock},
    http::{Answer, Http},
    report::{Passed, Problem},
};
use crate::crypto::{Secret, constant_time_eq, random_token};

/// A pair of tokens.
pub(super) struct Tokens {
    pub(super) access: Secret,
    pub(super) refresh: Secret,
}

impl Request<'_> {
    /// Redeems the code and checks the whole answer (RFC 6749 section 5.1).
    pub(super) async fn redeem(&self, http: &Http, authorized: &Authorized) -> Result<Passed<Tokens>, Problem> {
        let answer = self.present(http, &authorized.code, &authorized.verifier).await?;
        self.read(&answer)
    }

    /// RFC 7636 section 4.6: a stolen code is worth nothing without its verifier.
    pub(super) async fn try_wrong_verifier(
        &self,
        http: &Http,
        browser: &mut Browser<'_>,
    ) -> Result<Passed<()>, Problem> {
        let authorized = self.again(browser).await?;
        let wrong = Secret::new(random_token(""));
        let answer = self.present(http, &authorized.code, &wrong).await?;
        check_invalid_grant(&answer)?;
        Ok(Passed::new((), "invalid_grant"))
    }

    /// A refresh token gives a new pair (OAuth 2.1 section 4.3.1).
    pub(super) async fn rotate(&self, http: &Http, tokens: &Tokens) -> Result<Passed<Tokens>, Problem> {
        let answer = self.refresh(http, tokens).await?;
        let passed = self.read(&answer)?;
        for (kind, old, new) in [
            ("refresh token", &tokens.refresh, &passed.value.refresh),
            ("access token", &tokens.access, &passed.value.access),
        ] {
            if constant_time_eq(old.expose(), new.expose()) {
                return Err(Problem::new(format_args!("a new {kind}"), "the old one", REPORT));
            }
        }
        Ok(Passed::new(passed.value, "a new pair"))
    }

    /// A client that lost the answer asks again and must not be logged out.
    pub(super) async fn rotate_again(&self, http: &Http, old: &Tokens, new: &Tokens) -> Result<Passed<()>, Problem> {
        let answer = self.refresh(http, old).await?;
        if answer.status != StatusCode::OK {
            let advice = "several windows of one client refresh at once and would log each other out; \
                          set `gateway.refreshGraceSeconds` above 0";
            return Err(Problem::new("the pair of the refresh before", answer.summary(), advice));
        }
        let again = self.read(&answer)?.value;
        let same = constant_time_eq(again.refresh.expose(), new.refresh.expose())
            && constant_time_eq(again.access.expose(), new.access.expose());
        if same {
            Ok(Passed::new((), "within the grace time"))
        } else {
            Err(Problem::new("the pair of the refresh before", "another pair", REPORT))
        }
    }

    /// RFC 7009: a known and an unknown token get the same answer, and the known one stops working.
    pub(super) async fn revoke(&self, http: &Http, access: &Secret) -> Result<Passed<()>, Problem> {
        let unknown = Secret::new(random_token("at_"));
        for token in [&unknown, access] {
            let form = [("token", token.expose()), ("client_id", &self.client.id)];
            let answer = http.post_form(&self.server.revoke, &form, HeaderMap::new()).await?;
            if answer.status != StatusCode::OK || !answer.body.is_empty() {
                return Err(Problem::new("200 without a body, for known and unknown tokens", answer.summary(), REPORT));
            }
        }
        let begun = Instant::now();
        loop {
            let answer = knock(http, self.endpoint, Some(access)).await?;
            if answer.status == StatusCode::UNAUTHORIZED {
                return Ok(Passed::new((), "401"));
            }
            if begun.elapsed() > SPREADING {
                let expected = format!("401 within {} s", SPREADING.as_secs());
                return Err(Problem::new(expected, answer.summary(), REPORT));
            }
            // Replicas keep a verdict for a moment.
            tokio::time::sleep(Duration::from_millis(250)).await;
        }
    }

    /// RFC 6749 section 4.1.2: whoever comes second with a code is refused, and the first one's tokens end, too.
    pub(super) async fn replay(
        &self,
        http: &Http,
        authorized: &Authorized,
        tokens: &Tokens,
    ) -> Result<Passed<()>, Problem> {
        let answer = self.present(http, &authorized.code, &authorized.verifier).await?;
        check_invalid_grant(&answer)?;
        let answer = self.refresh(http, tokens).await?;
        check_invalid_grant(&answer)?;
        Ok(Passed::new((), "invalid_grant, for the grant's refresh token, too"))
    }

    async fn present(&self, http: &Http, code: &Secret, verifier: &Secret) -> Result<Answer, Problem> {
        let form = [
            ("grant_type", "authorization_code"),
            ("code", code.expose()),
            ("redirect_uri", self.client.redirect_uri.as_str()),
            ("client_id", &self.client.id),
            ("code_verifier", verifier.expose()),
            ("resource", self.endpoint.as_str()),
        ];
        http.post_form(&self.server.token, &form, HeaderMap::new()).await
    }

    async fn refresh(&self, http: &Http, tokens: &Tokens) -> Result<Answer, Problem> {
        let form = [
            ("grant_type", "refresh_token"),
            ("refresh_token", tokens.refresh.expose()),
            ("client_id", &self.client.id),
            ("resource", self.endpoint.as_str()),
        ];
        http.post_form(&self.server.token, &form, HeaderMap::new()).await
    }

    fn read(&self, answer: &Answer) -> Result<Passed<Tokens>, Problem> {
        let document = answer.json().filter(|_| answer.status == StatusCode::OK);
        let Some(document) = document else {
            return Err(Problem::new("200 with tokens", answer.summary(), "the gateway's log says why"));
        };
        let text = |member: &str| document.get(member).and_then(Value::as_str).unwrap_or_default();
        let stored = answer.header(header::CACHE_CONTROL.as_str()).unwrap_or("no such header");
        if !stored.split(',').any(|directive| directive.trim().eq_ignore_ascii_case("no-store")) {
            return Err(Problem::new("Cache-Control: no-store", stored, REPORT));
        }
        if !text("token_type").eq_ignore_ascii_case("bearer") {
            return Err(Problem::new("token_type Bearer", text("token_type"), REPORT));
        }
        let Some(lifetime) = document.get("expires_in").and_then(Value::as_u64).filter(|seconds| *seconds > 0) else {
            return Err(Problem::new("expires_in above 0", "none", REPORT));
        };
        let granted = text("scope");
        let asked = self.resource.scope.as_deref().unwrap_or_default();
        if !asked.split(' ').all(|scope| granted.split(' ').any(|one| one == scope)) {
            return Err(Problem::new(format_args!("scope {asked}"), granted, REPORT));
        }
        // A path with and without a final slash is one route, and a token names it without.
        if text("resource") != self.endpoint.as_str().trim_end_matches('/') {
            let came = format!("resource \"{}\"", text("resource"));
            return Err(Problem::new(format_args!("resource \"{}\"", self.endpoint), came, REPORT));
        }
        for member in ["access_token", "refresh_token"] {
            if text(member).is_empty() {
                return Err(Problem::new(format_args!("an {member}"), "none", REPORT));
            }
        }
        let tokens = Tokens { access: Secret::new(text("access_token")), refresh: Secret::new(text("refresh_token")) };
        Ok(Passed::new(tokens, format!("Bearer, for {lifetime} s, scope {granted}")))
    }
}

fn check_invalid_grant(answer: &Answer) -> Result<(), Problem> {
    let code = answer.json().and_then(|document| document.get("error")?.as_str().map(str::to_owned));
    if answer.status == StatusCode::BAD_REQUEST && code.as_deref() == Some("invalid_grant") {
        return Ok(());
    }
    Err(Problem::new("400 with error invalid_grant", answer.summary(), REPORT))
}

const SPREADING: Duration = Duration::from_secs(10);
