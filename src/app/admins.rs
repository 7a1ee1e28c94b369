//! Who may open the pages for administrators.

use std::sync::Arc;

use http::{Method, StatusCode};

use crate::{
    identity::{Identity, SignedIn, Then, Trouble, store_trouble, trouble_page},
    web::{Request, Response},
};

/// The administrators of the configuration.
pub(super) struct Admins {
    pub(super) identity: Arc<Identity>,
    /// Subject ids and e-mail addresses.
    pub(super) names: Vec<String>,
}

impl Admins {
    /// The administrator at the browser; or what to answer instead, which is a sign-in if nobody is known.
    pub(super) async fn admit(&self, request: &Request) -> Result<SignedIn, Response> {
        match self.identity.signed_in(request).await {
            Ok(Some(signed_in)) if self.lists(&signed_in) => Ok(signed_in),
            Ok(Some(_)) => Err(trouble_page(request, &NOT_AN_ADMINISTRATOR)),
            Ok(None) if request.method != Method::GET => Err(trouble_page(request, &Trouble::STALE)),
            Ok(None) => {
                let query = request.query.as_deref().map(|query| format!("?{query}")).unwrap_or_default();
                let back = Then::Path(format!("{}{query}", request.path));
                Err(self.identity.begin_login(request, &back).await.unwrap_or_else(|page| page))
            }
            Err(error) => Err(store_trouble(request, &error)),
        }
    }

    fn lists(&self, signed_in: &SignedIn) -> bool {
        let user = signed_in.user();
        self.names.iter().any(|admin| {
            admin == user.subject.as_str()
                || user.email.as_deref().is_some_and(|email| email.eq_ignore_ascii_case(admin))
        })
    }
}

const NOT_AN_ADMINISTRATOR: Trouble<'static> = Trouble {
    status: StatusCode::FORBIDDEN,
    reason: "admin_only",
    title: "This page is for administrators",
    happened: "You are signed in, but the gateway's configuration does not list you as an administrator.",
    next: "Ask whoever runs the gateway to add you to `admins`.",
    details: &[],
};
