//! The link of an upstream by identity assertion: nothing is connected, the person signs in again.

use http::StatusCode;

use super::Connect;
use crate::{
    identity::{Then, Trouble, page_response, store_trouble, trouble_page},
    oauth::Params,
    pages::{self, Tone, safe_text},
    store::SubjectId,
    web::{Request, Response},
};

impl Connect {
    /// Signs the person of a link in once more, so that the identity provider can speak for them.
    pub(super) async fn sign_in_again(&self, request: &Request, params: &Params, subject: &SubjectId) -> Response {
        let (can_assert, signed_in) =
            match (self.identity.can_assert(subject).await, self.identity.signed_in(request).await) {
                (Ok(can_assert), Ok(signed_in)) => (can_assert, signed_in),
                (Err(error), _) | (_, Err(error)) => return store_trouble(request, &error),
            };
        let came_back = matches!(params.get(CAME_BACK), Ok(Some(_)));
        match signed_in {
            Some(signed_in) if signed_in.user().subject != *subject && came_back => {
                self.wrong_person(request, &signed_in)
            }
            Some(signed_in) if signed_in.user().subject == *subject && can_assert => page_response(
                &pages::Message {
                    tone: Tone::Done,
                    title: safe_text("You are signed in"),
                    text: safe_text("You can go back to your application. This page can be closed."),
                    link: None,
                },
                StatusCode::OK,
            ),
            _ if came_back => trouble_page(request, &NOTHING_KEPT),
            _ => {
                let query = request.query.as_deref().unwrap_or_default();
                let back = Then::Path(format!("{}?{query}&{CAME_BACK}=true", request.path));
                self.identity.begin_login(request, &back).await.unwrap_or_else(|page| page)
            }
        }
    }
}

/// Marks the way back from the sign-in, so that a provider that signs in by itself cannot send the browser in circles.
const CAME_BACK: &str = "signedIn";

const NOTHING_KEPT: Trouble<'static> = Trouble {
    status: StatusCode::BAD_GATEWAY,
    reason: "no_subject_token",
    title: "Signing in was not enough",
    happened: "The identity provider gave nothing that the gateway could use for this service.",
    next: "Tell your administrator the request id: the ID token must live for more than a minute, or `identity.scope` must ask for offline_access.",
    details: &[],
};
