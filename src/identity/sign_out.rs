//! Signing out: a page that asks, and the form that does it.

use http::{StatusCode, header};

use super::{Identity, Trouble, page_response, session::session_cookie, trouble_page};
use crate::{
    oauth::Params,
    pages::{LocalHref, SignOut, SignedOut, safe_text},
    web::{Request, Response, is_form},
};

impl Identity {
    /// Asks whether to sign out, or says that nobody is signed in.
    pub(super) async fn ask_to_sign_out(&self, request: &Request) -> Response {
        match self.signed_in(request).await {
            Ok(Some(signed_in)) => {
                let user = signed_in.user();
                let name = user.name.as_deref().or(user.email.as_deref()).unwrap_or(&user.sub);
                let page = SignOut {
                    action: LocalHref::new(&self.sign_out_path()),
                    csrf: signed_in.csrf(PURPOSE).as_str().to_owned(),
                    user: safe_text(name),
                    stay: None,
                };
                page_response(&page, StatusCode::OK)
            }
            Ok(None) => page_response(&SignedOut, StatusCode::OK),
            Err(error) => {
                tracing::warn!(event = "mcp_auth_store_failed", requestId = %request.id, %error, "sign-out page");
                trouble_page(request, &Trouble::STORE)
            }
        }
    }

    /// Ends the browser session of a form that our page sent.
    pub(super) async fn sign_out(&self, request: &Request) -> Response {
        let clear = session_cookie(&request.origin).clear();
        match self.signed_in(request).await {
            Ok(Some(signed_in)) => {
                let presented = Params::parse(&request.body)
                    .ok()
                    .filter(|_| is_form(request) && request.is_same_origin())
                    .and_then(|form| form.get("csrf").ok().flatten().map(ToOwned::to_owned));
                if !presented.is_some_and(|presented| signed_in.csrf(PURPOSE).matches(&presented)) {
                    return trouble_page(request, &Trouble::FOREIGN_FORM);
                }
                if let Err(error) = self.store.end_session(signed_in.digest()).await {
                    tracing::warn!(event = "mcp_auth_store_failed", requestId = %request.id, %error, "sign-out");
                    return trouble_page(request, &Trouble::STORE);
                }
                tracing::info!(
                    event = "mcp_auth_signed_out",
                    requestId = %request.id,
                    subjectId = %signed_in.user().subject,
                    "signed out"
                );
                page_response(&SignedOut, StatusCode::OK).with(header::SET_COOKIE, &clear)
            }
            Ok(None) => page_response(&SignedOut, StatusCode::OK).with(header::SET_COOKIE, &clear),
            Err(error) => {
                tracing::warn!(event = "mcp_auth_store_failed", requestId = %request.id, %error, "sign-out");
                trouble_page(request, &Trouble::STORE)
            }
        }
    }
}

const PURPOSE: &str = "sign-out";
