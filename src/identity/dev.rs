//! The development login: choose a name, on this machine only.

use http::{HeaderName, StatusCode};

use super::{DEV_LOGIN, Identity, Provider, Trouble, is_loopback, login::failed_login, page_response};
use crate::{
    oauth::Params,
    pages::{DevChooser, DevUser, LocalHref, safe_text},
    store::{SubjectId, User},
    web::{Request, Response},
};

impl Identity {
    /// Signs in the chosen development user, or asks which.
    pub(super) async fn dev_login(&self, request: &Request) -> Response {
        let Provider::Dev { users } = &self.provider else {
            return failed_login(request, &NOT_CONFIGURED);
        };
        if !is_from_this_machine(request) {
            return failed_login(request, &NOT_LOOPBACK);
        }
        let Ok(params) = Params::parse(request.query.as_deref().unwrap_or_default().as_bytes()) else {
            return failed_login(request, &Trouble::MALFORMED);
        };
        let (Ok(Some(state)), Ok(chosen)) = (params.get("state"), params.get("user")) else {
            return failed_login(request, &Trouble::MALFORMED);
        };
        let user = match (chosen, users.as_slice()) {
            (Some(chosen), users) if users.iter().any(|user| user == chosen) => chosen,
            (None, [only]) => only,
            (None, users) => return self.choose(users, state),
            (Some(_), _) => return failed_login(request, &Trouble::MALFORMED.because("unknown_user")),
        };
        let taken = match self.take_login(request, state).await {
            Ok(taken) => taken,
            Err(page) => return page,
        };
        self.finish_login(request, taken, dev_user(user)).await
    }

    fn choose(&self, users: &[String], state: &str) -> Response {
        let users = users
            .iter()
            .map(|user| {
                let query = form_urlencoded::Serializer::new(String::new())
                    .append_pair("state", state)
                    .append_pair("user", user)
                    .finish();
                let sign_in = LocalHref::new(&format!("{}?{query}", self.settings.base_path.path(DEV_LOGIN)));
                DevUser { name: safe_text(user), sign_in }
            })
            .collect();
        page_response(&DevChooser { users }, StatusCode::OK)
    }
}

fn dev_user(name: &str) -> User {
    let mut claims = serde_json::Map::new();
    claims.insert("sub".to_owned(), name.into());
    User {
        subject: SubjectId::derive(ISSUER, name),
        issuer: ISSUER.to_owned(),
        sub: name.to_owned(),
        email: None,
        name: Some(name.to_owned()),
        claims,
    }
}

/// A request that a proxy passed on may come from anywhere, so forwarding headers disqualify it.
fn is_from_this_machine(request: &Request) -> bool {
    let forwarded = ["forwarded", "x-forwarded-for", "x-real-ip", "x-forwarded-host", "via"]
        .map(HeaderName::from_static)
        .iter()
        .any(|name| request.headers.contains_key(name));
    is_loopback(request.peer) && request.origin.is_loopback() && !forwarded
}

const ISSUER: &str = "urn:sallyport:dev";

const NOT_CONFIGURED: Trouble<'static> = Trouble {
    status: StatusCode::FORBIDDEN,
    reason: "no_development_sign_in",
    title: "There is no development sign-in here",
    happened: "This gateway signs people in at its identity provider.",
    next: "Go back to your application and connect again.",
    details: &[],
};

const NOT_LOOPBACK: Trouble<'static> = Trouble {
    status: StatusCode::FORBIDDEN,
    reason: "not_loopback",
    title: "Development sign-in works on this machine only",
    happened: "The identity provider `dev` signs anybody in, so it answers to this machine alone.",
    next: "Open the gateway as http://127.0.0.1 or http://localhost, or configure a real identity provider.",
    details: &[],
};
