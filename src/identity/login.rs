//! One login: to the identity provider and back.
//!
//! The browser carries a cookie per login, so that two tabs do not disturb each other; it is worth nothing without the
//! `state`, and the `state` nothing without it (RFC 9700 section 4.7.1). A login establishes the browser session and
//! nothing else: what the client gets is decided on the consent page.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use http::{StatusCode, header};

use super::{CALLBACK, DEV_LOGIN, Identity, Provider, SETUP, Trouble, oidc, store_trouble, trouble_page};
use crate::{
    crypto::{Digest, Secret, random_token, s256},
    oauth::Params,
    store::{InteractionId, Login, SubjectId, User},
    web::{Cookie, Request, Response, cookie},
};

/// What goes on after a login.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Then {
    /// The setup page of an interaction.
    Interaction(InteractionId),
    /// A path with its query at our own origin.
    Path(String),
}

impl Then {
    /// The value of the login's cookie: random, with the path behind it. The store knows the digest of the whole, so
    /// nobody but this browser can say where it goes on.
    fn browser_value(&self) -> String {
        match self {
            Self::Interaction(_) => random_token(""),
            Self::Path(path) => format!("{}.{}", random_token(""), URL_SAFE_NO_PAD.encode(path)),
        }
    }

    fn interaction(&self) -> Option<InteractionId> {
        match self {
            Self::Interaction(interaction) => Some(interaction.clone()),
            Self::Path(_) => None,
        }
    }

    /// Where a cookie of [`Then::browser_value`] says to go on; only ever a path at our own origin.
    fn path(browser_value: &str) -> Option<String> {
        let (_, path) = browser_value.split_once('.')?;
        let path = String::from_utf8(URL_SAFE_NO_PAD.decode(path).ok()?).ok()?;
        (path.starts_with('/') && !path.starts_with("//") && !path.contains('\\')).then_some(path)
    }
}

/// A login that came back, spent, and the `Set-Cookie` value that takes its cookie away.
pub(super) struct Taken {
    login: Login,
    then_path: Option<String>,
    clear_cookie: String,
}

impl Identity {
    /// Sends the browser to sign in; afterwards it goes on as `then` says.
    ///
    /// # Errors
    /// The page to show where no login can begin; then nothing is kept of it.
    pub async fn begin_login(&self, request: &Request, then: &Then) -> Result<Response, Response> {
        let state = random_token("");
        let browser = then.browser_value();
        let redirect_uri = self.settings.base_path.url(&request.origin, CALLBACK);
        let (location, nonce, verifier) = match &self.provider {
            Provider::Dev { .. } => {
                (format!("{}?state={state}", self.settings.base_path.path(DEV_LOGIN)), String::new(), None)
            }
            Provider::Oidc(provider) => match provider.begin(&redirect_uri, &state).await {
                Ok(begin) => (begin.url.to_string(), begin.nonce, begin.code_verifier),
                Err(error) => return Err(Self::provider_trouble(request, &error)),
            },
        };
        let login = Login {
            state: Digest::of(&state),
            browser: Digest::of(&browser),
            nonce,
            sealed_verifier: verifier.map(|verifier| self.key_ring.seal(VERIFIER, verifier.expose().as_bytes())),
            redirect_uri,
            interaction: then.interaction(),
            expires_at: self.clock.now().plus(self.settings.state_ttl),
        };
        if let Err(error) = self.store.create_login(&login).await {
            return Err(store_trouble(request, &error));
        }
        let name = cookie_name(&state);
        let cookie = Cookie { name: &name, secure: request.origin.is_secure() };
        Ok(Response::see_other(&location)
            .with(header::SET_COOKIE, &cookie.set(&browser, self.settings.state_ttl.as_secs())))
    }

    /// The identity provider's redirect back to us (OpenID Connect Core section 3.1.2.5).
    pub(super) async fn callback(&self, request: &Request) -> Response {
        let Provider::Oidc(provider) = &self.provider else {
            return failed_login(request, &Trouble::STALE.because("no_identity_provider"));
        };
        let Ok(params) = Params::parse(request.query.as_deref().unwrap_or_default().as_bytes()) else {
            return failed_login(request, &Trouble::MALFORMED);
        };
        let (Ok(Some(state)), Ok(code), Ok(error), Ok(iss)) =
            (params.get("state"), params.get("code"), params.get("error"), params.get("iss"))
        else {
            return failed_login(request, &Trouble::MALFORMED);
        };
        let taken = match self.take_login(request, state).await {
            Ok(taken) => taken,
            Err(page) => return page,
        };
        let login = &taken.login;
        if let Err(error) = provider.check_callback_iss(iss).await {
            return Self::provider_trouble(request, &error);
        }
        let code = match (code, error) {
            (Some(code), None) => code,
            (_, Some(error)) => return refused(request, error),
            (None, None) => return failed_login(request, &Trouble::MALFORMED),
        };
        let verifier = match login.sealed_verifier.as_deref().map(|sealed| self.key_ring.open(VERIFIER, sealed)) {
            None => None,
            Some(Ok(verifier)) => Some(Secret::new(String::from_utf8_lossy(&verifier))),
            Some(Err(error)) => {
                tracing::error!(event = "mcp_auth_store_failed", requestId = %request.id, %error,
                    "the PKCE verifier of a login cannot be opened");
                return failed_login(request, &Trouble::STALE.because("unreadable_login"));
            }
        };
        match provider.finish(code, &login.redirect_uri, &login.nonce, verifier.as_ref()).await {
            Ok(claims) => {
                let subject = SubjectId::derive(&claims.issuer, &claims.subject);
                if let Err(error) = self.keep_tokens(&subject, &claims).await {
                    return store_trouble(request, &error);
                }
                self.finish_login(request, taken, user_of(claims)).await
            }
            Err(error) => Self::provider_trouble(request, &error),
        }
    }

    /// Spends the login that this browser began with this state, or says what page to show instead.
    pub(super) async fn take_login(&self, request: &Request, state: &str) -> Result<Taken, Response> {
        let name = cookie_name(state);
        let kind = Cookie { name: &name, secure: request.origin.is_secure() };
        let Some(browser) = cookie(&request.headers, &kind) else {
            return Err(failed_login(request, &Trouble::STALE.because("foreign_browser")));
        };
        match self.store.take_login(&Digest::of(state), &Digest::of(browser), self.clock.now()).await {
            Ok(Some(login)) => Ok(Taken { login, then_path: Then::path(browser), clear_cookie: kind.clear() }),
            Ok(None) => Err(failed_login(request, &Trouble::STALE.because("stale_state"))),
            Err(error) => Err(store_trouble(request, &error)),
        }
    }

    /// Opens the browser session and goes on to the setup page.
    pub(super) async fn finish_login(&self, request: &Request, taken: Taken, user: User) -> Response {
        let Taken { login, then_path, clear_cookie } = taken;
        let subject = user.subject.clone();
        let opened = match self.open_session(request, user).await {
            Ok(opened) => opened,
            Err(error) => return store_trouble(request, &error),
        };
        tracing::info!(event = "mcp_auth_login_succeeded", requestId = %request.id, subjectId = %subject,
            outcome = "success", "signed in");
        let bound = match &login.interaction {
            Some(interaction) => self.store.bind_interaction(interaction, &opened.digest, self.clock.now()).await,
            None => Ok(false),
        };
        let answer = match (bound, &login.interaction) {
            (Ok(_), None) if then_path.is_some() => Response::see_other(then_path.as_deref().unwrap_or_default()),
            (Ok(true), Some(interaction)) => {
                Response::see_other(&setup_location(&self.settings.base_path.path(SETUP), interaction))
            }
            (Ok(_), _) => trouble_page(request, &Trouble::STALE.because("stale_interaction")),
            (Err(error), _) => store_trouble(request, &error),
        };
        let answer = match &opened.set_cookie {
            Some(set_cookie) => answer.with(header::SET_COOKIE, set_cookie),
            None => answer,
        };
        answer.with(header::SET_COOKIE, &clear_cookie)
    }

    fn provider_trouble(request: &Request, error: &oidc::Error) -> Response {
        tracing::warn!(event = "mcp_auth_login_failed", requestId = %request.id, outcome = "failure",
            failureOrigin = "upstream", reasonCode = "identity_provider", error = %error.log_sentence(),
            "sign-in failed");
        trouble_page(
            request,
            &Trouble {
                status: StatusCode::BAD_GATEWAY,
                reason: "identity_provider",
                title: "Sign-in did not work",
                happened: error.user_sentence(),
                next: "Go back to your application and try again. If it keeps happening, tell your administrator the request id.",
                details: &[],
            },
        )
    }
}

/// The setup page of an interaction.
pub fn setup_location(setup_path: &str, interaction: &InteractionId) -> String {
    format!("{setup_path}?interaction={}", interaction.0)
}

/// The identity provider says no: mostly the person pressed "cancel" there.
fn refused(request: &Request, error: &str) -> Response {
    failed_login(
        request,
        &Trouble {
            status: StatusCode::FORBIDDEN,
            reason: "refused_by_provider",
            title: "You are not signed in",
            happened: "The identity provider did not sign you in.",
            next: "If you cancelled it yourself, nothing is wrong. Otherwise go back to your application and try again.",
            details: &[("Identity provider's code", error)],
        },
    )
}

/// The page for a login that ends here, and the line that says why.
pub(super) fn failed_login(request: &Request, trouble: &Trouble<'_>) -> Response {
    tracing::info!(event = "mcp_auth_login_failed", requestId = %request.id, outcome = "denied",
        failureOrigin = "client", reasonCode = trouble.reason, "a sign-in ended");
    trouble_page(request, trouble)
}

fn user_of(claims: oidc::IdentityClaims) -> User {
    User {
        subject: SubjectId::derive(&claims.issuer, &claims.subject),
        name: claims.name.or(claims.preferred_username),
        email: claims.email.filter(|_| claims.email_verified != Some(false)),
        issuer: claims.issuer,
        sub: claims.subject,
        claims: claims.claims,
    }
}

/// A cookie per login, named by a digest of its state.
fn cookie_name(state: &str) -> String {
    format!("sallyport_login_{}", &s256(state)[..12])
}

const VERIFIER: &str = "logins/code_verifier";
