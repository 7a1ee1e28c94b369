//! Browser sessions: made at login, found by their cookie.

use super::Identity;
use crate::{
    crypto::{Digest, random_token},
    oauth::Params,
    store::{self, BrowserSession, User},
    web::{Cookie, CsrfToken, Origin, Request, cookie, is_form},
};

/// A person proven to sit at this browser. Only a live session makes one.
pub struct SignedIn {
    session: BrowserSession,
    cookie: String,
}

impl SignedIn {
    /// Who.
    pub const fn user(&self) -> &User {
        &self.session.user
    }

    /// What to call the person on a page.
    pub fn name(&self) -> &str {
        let user = self.user();
        user.name.as_deref().or(user.email.as_deref()).unwrap_or(&user.sub)
    }

    /// The session's digest, which interactions are bound to.
    pub const fn digest(&self) -> &Digest {
        &self.session.digest
    }

    /// The token that a form for this purpose must carry in this session.
    pub fn csrf(&self, purpose: &str) -> CsrfToken {
        CsrfToken::of(&self.cookie, purpose)
    }

    /// Whether a page of ours, shown in this session for this purpose, sent the form of the request.
    pub fn sent(&self, request: &Request, form: &Params, purpose: &str) -> bool {
        is_form(request)
            && request.is_same_origin()
            && form.get("csrf").ok().flatten().is_some_and(|presented| self.csrf(purpose).matches(presented))
    }
}

/// The session after a login: its digest, and the `Set-Cookie` value if it is a new one.
pub(super) struct Opened {
    pub(super) digest: Digest,
    pub(super) set_cookie: Option<String>,
}

impl Identity {
    /// Who sits at the browser of this request, if somebody is signed in.
    pub async fn signed_in(&self, request: &Request) -> store::Result<Option<SignedIn>> {
        let Some(value) = cookie(&request.headers, &session_cookie(&request.origin)) else { return Ok(None) };
        let session = self.store.session(&Digest::of(value), self.clock.now()).await?;
        Ok(session.map(|session| SignedIn { session, cookie: value.to_owned() }))
    }

    /// Opens a new session for `user`; a session of somebody else that the browser had is ended, so that no old cookie
    /// goes on.
    ///
    /// A live session of the same person goes on as it is: logins in two tabs of one browser must not end what the
    /// person sees in the other tab, and a cookie that somebody planted can only be a session of that somebody.
    pub(super) async fn open_session(&self, request: &Request, user: User) -> store::Result<Opened> {
        if let Some(open) = self.signed_in(request).await?
            && open.user().subject == user.subject
        {
            return Ok(Opened { digest: *open.digest(), set_cookie: None });
        }
        let cookie_kind = session_cookie(&request.origin);
        let replaced = cookie(&request.headers, &cookie_kind).map(Digest::of);
        let value = random_token("");
        let now = self.clock.now();
        let session = BrowserSession {
            digest: Digest::of(&value),
            user,
            created_at: now,
            expires_at: now.plus(self.settings.session_ttl),
        };
        self.store.open_session(&session, replaced.as_ref()).await?;
        let set_cookie = cookie_kind.set(&value, self.settings.session_ttl.as_secs());
        Ok(Opened { digest: session.digest, set_cookie: Some(set_cookie) })
    }
}

/// The cookie that carries a browser session.
pub(super) fn session_cookie(origin: &Origin) -> Cookie<'static> {
    Cookie { name: "sallyport_session", secure: origin.is_secure() }
}
