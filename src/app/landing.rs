//! `/`: what the gateway is, and the addresses that whoever looks may use.

use std::sync::Arc;

use http::{Method, StatusCode};

use crate::{
    identity::{Identity, SignedIn, Then, page_response, store_trouble},
    pages::{self, LandingRoute, LocalHref, safe_text},
    policy::Policies,
    routes::{Route, Routes},
    store::User,
    web::{BasePath, Request, Response},
};

/// The page at the root of one gateway.
pub(super) struct Landing {
    pub(super) base_path: BasePath,
    pub(super) identity: Arc<Identity>,
    pub(super) routes: Arc<Routes>,
    pub(super) policies: Arc<Policies>,
}

/// The query that asks for a sign-in first.
const SIGN_IN: &str = "sign-in";

/// Whether this is the page, and whoever asks for it wants to sign in.
pub(super) fn asks_for_sign_in(request: &Request) -> bool {
    request.query.as_deref() == Some(SIGN_IN)
}

impl Landing {
    /// Answers a request to the page: strangers see what is for everybody, people what is for them.
    ///
    /// Of routes that `access` limits, strangers learn neither the names nor whether there are any.
    pub(super) async fn answer(&self, request: &Request) -> Response {
        if request.method != Method::GET {
            return Response::method_not_allowed(&request.id, "GET, HEAD");
        }
        let signed_in = match self.identity.signed_in(request).await {
            Ok(signed_in) => signed_in,
            Err(error) => return store_trouble(request, &error),
        };
        if signed_in.is_none() && asks_for_sign_in(request) {
            let back = Then::Path(self.base_path.path("/"));
            return self.identity.begin_login(request, &back).await.unwrap_or_else(|page| page);
        }
        let user = signed_in.as_ref().map(|signed_in| pages::User { name: safe_text(signed_in.name()), email: None });
        let routes = self.shown_to(signed_in.as_ref().map(SignedIn::user));
        let page = pages::Landing {
            routes: routes
                .map(|route| LandingRoute {
                    title: safe_text(&route.title),
                    name: route.operation_id.clone(),
                    url: format!("{}{}", request.origin, route.path),
                })
                .collect(),
            user,
            sign_in: LocalHref::new(&format!("{}?{SIGN_IN}", self.base_path.path("/"))),
            sign_out: LocalHref::new(&self.identity.sign_out_path()),
        };
        page_response(&page, StatusCode::OK)
    }

    /// The routes that this person may use; those that are for everybody, if nobody has signed in.
    fn shown_to(&self, user: Option<&User>) -> impl Iterator<Item = &Arc<Route>> {
        self.routes.iter().filter(move |route| match user {
            Some(user) => self.policies.may_use(&route.operation_id, &user.claims),
            None => self.policies.is_for_everybody(&route.operation_id),
        })
    }
}
