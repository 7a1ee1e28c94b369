//! Asking for a code (RFC 6749 section 4.1.1, RFC 7636, RFC 8707, RFC 9207).

use std::time::{Duration, Instant};

use http::HeaderMap;
use url::Url;

use super::{
    browser::{Browser, Landing},
    callback::{Listener, Parameters},
    endpoint::REPORT,
    http::Http,
    metadata::{Resource, Server},
    registration::Client,
    report::{Passed, Problem, Report, Step},
};
use crate::crypto::{Secret, random_token, s256};

/// Everything that an authorization request is made of.
pub(super) struct Request<'a> {
    pub(super) server: &'a Server,
    pub(super) resource: &'a Resource,
    pub(super) endpoint: &'a Url,
    pub(super) client: &'a Client,
}

/// A code, and what it takes to redeem it.
pub(super) struct Authorized {
    pub(super) code: Secret,
    pub(super) verifier: Secret,
    /// Whether a human had to sign in; nobody wants to be asked twice.
    pub(super) by_hand: bool,
}

struct Attempt {
    url: Url,
    state: Secret,
    verifier: Secret,
}

impl Request<'_> {
    fn attempt(&self) -> Attempt {
        let (state, verifier) = (Secret::new(random_token("")), Secret::new(random_token("")));
        let mut url = self.server.authorize.clone();
        {
            let mut query = url.query_pairs_mut();
            query
                .append_pair("response_type", "code")
                .append_pair("client_id", &self.client.id)
                .append_pair("redirect_uri", self.client.redirect_uri.as_str())
                .append_pair("state", state.expose())
                .append_pair("code_challenge", &s256(verifier.expose()))
                .append_pair("code_challenge_method", "S256")
                .append_pair("resource", self.endpoint.as_str());
            if let Some(scope) = &self.resource.scope {
                query.append_pair("scope", scope);
            }
        }
        Attempt { url, state, verifier }
    }

    /// RFC 6749 section 4.1.2.1: an unregistered redirect URI gets a page, never a redirect.
    pub(super) async fn try_foreign_redirect(&self, http: &Http) -> Result<Passed<()>, Problem> {
        let foreign = Client {
            id: self.client.id.clone(),
            redirect_uri: Url::parse("https://attacker.example/callback")
                .map_err(|error| Problem::new("a URL", error, REPORT))?,
        };
        let attempt = Request { client: &foreign, ..*self }.attempt();
        let answer = http.get(&attempt.url, HeaderMap::new()).await?;
        if answer.status.is_client_error() && !answer.headers.contains_key(http::header::LOCATION) {
            return Ok(Passed::new((), answer.status.to_string()));
        }
        Err(Problem::new("a page with an error, and no redirect", answer.summary(), REPORT))
    }

    /// Signs in and consents: by itself at a development gateway, else with the help of a human.
    pub(super) async fn run(
        &self,
        report: &mut Report<'_>,
        browser: &mut Browser<'_>,
        listener: &Listener,
        patience: Duration,
    ) -> Option<Authorized> {
        let begun = Instant::now();
        let attempt = self.attempt();
        let landing = browser.walk(&attempt.url).await;
        if let Ok(Landing::Elsewhere(login)) = &landing {
            report.say(format_args!(
                "people sign in at {}; open this in a browser on this machine:",
                login.origin().ascii_serialization()
            ));
            report.say(format_args!("  {}", listener.start_url()));
        }
        let outcome = self.end(attempt, landing, listener, patience, browser.has_connected()).await;
        report.tell(Step::Authorization, begun, outcome)
    }

    /// A further code for a test of its own; only a gateway that needs no human gives one.
    pub(super) async fn again(&self, browser: &mut Browser<'_>) -> Result<Authorized, Problem> {
        let attempt = self.attempt();
        match browser.walk(&attempt.url).await? {
            Landing::Client(parameters) => self.check(attempt, &parameters, false),
            Landing::Elsewhere(login) => Err(Problem::new(
                "a second sign-in without a human",
                format_args!("a redirect to {}", login.origin().ascii_serialization()),
                REPORT,
            )),
        }
    }

    async fn end(
        &self,
        attempt: Attempt,
        landing: Result<Landing, Problem>,
        listener: &Listener,
        patience: Duration,
        connected: bool,
    ) -> Result<Passed<Authorized>, Problem> {
        let (parameters, by_hand) = match landing? {
            Landing::Client(parameters) => (parameters, false),
            Landing::Elsewhere(_) => match listener.wait(&attempt.url, patience).await {
                Ok(Some(parameters)) => (parameters, true),
                Ok(None) => {
                    let expected = format!("a browser to come back within {} s", patience.as_secs());
                    return Err(Problem::new(expected, "nobody", "run the doctor again and sign in meanwhile"));
                }
                Err(error) => {
                    return Err(Problem::new("a browser to come back", error, "free some ports of this machine"));
                }
            },
        };
        let authorized = self.check(attempt, &parameters, by_hand)?;
        let found = "code, state and iss are right";
        Ok(Passed::new(
            authorized,
            if connected { format!("{found}; the upstream was connected on the way") } else { found.to_owned() },
        ))
    }

    /// Checks what came back with the browser: `state` against forgery, `iss` against mix-up (RFC 9207 section 2.4).
    fn check(&self, attempt: Attempt, parameters: &Parameters, by_hand: bool) -> Result<Authorized, Problem> {
        if sole(parameters, "state")? != Some(attempt.state.expose()) {
            return Err(Problem::new("the state of the request", "another state or none", REPORT));
        }
        match sole(parameters, "iss")? {
            Some(issuer) if issuer == self.server.issuer => {}
            came => {
                let expected = format!("iss \"{}\"", self.server.issuer);
                return Err(Problem::new(expected, came.unwrap_or("no iss"), REPORT));
            }
        }
        if let Some(error) = sole(parameters, "error")? {
            let description = sole(parameters, "error_description")?.unwrap_or_default();
            let came = format!("error {error} {description}");
            return Err(Problem::new(
                "a code",
                came.trim_end(),
                "approve on the consent page; else the gateway's log says why",
            ));
        }
        match sole(parameters, "code")? {
            Some(code) => Ok(Authorized { code: Secret::new(code), verifier: attempt.verifier, by_hand }),
            None => Err(Problem::new("a code", "none", REPORT)),
        }
    }
}

/// RFC 6749 section 3.1: no parameter comes twice.
fn sole<'a>(parameters: &'a Parameters, name: &str) -> Result<Option<&'a str>, Problem> {
    let mut values = parameters.iter().filter(|(key, _)| key == name).map(|(_, value)| value.as_str());
    match (values.next(), values.next()) {
        (value, None) => Ok(value),
        (_, Some(_)) => Err(Problem::new(format_args!("one {name}"), "several", REPORT)),
    }
}
