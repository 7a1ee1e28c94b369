//! Identity assertions (ID-JAG): whose are believed (`gateway.idJagIssuers`), and what `authMode: id-jag` needs.

use url::Url;

use crate::config::at::At;
use crate::config::check::Check;
use crate::config::file;
use crate::config::file::Provider;
use crate::config::identity::{Identity, issuer_url};
use crate::config::parse;
use crate::config::problem::Fault;

/// An identity provider whose identity assertions clients may redeem.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdJagIssuer {
    /// The issuer, as its assertions spell it.
    pub issuer: String,
    /// Its keys, where they are not to be discovered.
    pub jwks: Option<Url>,
}

impl IdJagIssuer {
    /// Checks the list.
    pub fn check_all(file: &At<Vec<file::IdJagIssuer>>, check: &mut Check) -> Vec<Self> {
        let mut taken = Vec::new();
        let mut issuers = Vec::new();
        for item in check.list(file) {
            let needs = "the issuer of the identity provider, such as https://login.example.com";
            let issuer = check.parse_required(&item.issuer, needs, issuer_url);
            let jwks = check.parse(&item.jwks_url, |text| parse::http_url(text));
            if let Some(issuer) = issuer {
                check.unique(&mut taken, issuer.clone(), &item.issuer.place, &item.issuer.shown);
                issuers.push(Self { issuer, jwks });
            }
        }
        issuers
    }
}

/// `authMode: id-jag` needs an identity provider that can speak for people who have left the browser.
pub fn check_identity(identity: Option<&Identity>, check: &mut Check) {
    let (unable, can_refresh) = match identity {
        Some(Identity::Oidc(oidc)) if oidc.provider != Provider::WorkOs => {
            (None, oidc.scope.split(' ').any(|scope| scope == "offline_access"))
        }
        Some(Identity::Oidc(_)) => (Some("id-jag with provider `workos`"), false),
        Some(Identity::Dev { .. }) => (Some("id-jag with provider `dev`"), false),
        None => return,
    };
    for place in std::mem::take(&mut check.id_jag) {
        match unable {
            Some(given) => {
                let expected = "an identity provider that gives out identity assertions, which dev and workos do not";
                check.report(&place, Fault::Invalid { given: given.to_owned(), expected });
            }
            None if !can_refresh => check.warn(&place, Fault::NoRefreshToken),
            None => {}
        }
    }
}
