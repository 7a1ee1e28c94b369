//! Signing out: a page that asks, and the form that does it.

use http::{StatusCode, header};

use super::{Identity, Trouble, page_response, session::session_cookie, store_trouble, trouble_page};
use crate::{
    oauth::Params,
    pages::{LocalHref, SignOut, SignedOut, safe_text},
    web::{Request, Response},
};

impl Identity {
    /// Asks whether to sign out, or says that nobody is signed in.
    pub(super) async fn ask_to_sign_out(&self, request: &Request) -> Response {
        match self.signed_in(request).await {
            Ok(Some(signed_in)) => {
                let page = SignOut {
                    action: LocalHref::new(&self.sign_out_path()),
                    csrf: signed_in.csrf(PURPOSE).as_str().to_owned(),
                    user: safe_text(signed_in.name()),
                    stay: None,
                };
                page_response(&page, StatusCode::OK)
            }
            Ok(None) => page_response(&SignedOut, StatusCode::OK),
            Err(error) => store_trouble(request, &error),
        }
    }

    /// Ends the browser session of a form that our page sent.
    ///
    /// A request without a session leaves the browser's cookie alone: the form of another site comes without it.
    pub(super) async fn sign_out(&self, request: &Request) -> Response {
        let signed_in = match self.signed_in(request).await {
            Ok(Some(signed_in)) => signed_in,
            Ok(None) => return page_response(&SignedOut, StatusCode::OK),
            Err(error) => return store_trouble(request, &error),
        };
        if !Params::parse(&request.body).is_ok_and(|form| signed_in.sent(request, &form, PURPOSE)) {
            tracing::warn!(event = "mcp_auth_sign_out_rejected", requestId = %request.id,
                subjectId = %signed_in.user().subject, outcome = "denied", failureOrigin = "client",
                reasonCode = Trouble::FOREIGN_FORM.reason, "a sign-out form came from elsewhere");
            return trouble_page(request, &Trouble::FOREIGN_FORM);
        }
        if let Err(error) = self.store.end_session(signed_in.digest()).await {
            return store_trouble(request, &error);
        }
        tracing::info!(event = "mcp_auth_signed_out", requestId = %request.id,
            subjectId = %signed_in.user().subject, outcome = "success", "signed out");
        page_response(&SignedOut, StatusCode::OK).with(header::SET_COOKIE, &session_cookie(&request.origin).clear())
    }
}

const PURPOSE: &str = "sign-out";
