//! `gateway.idJagIssuers`: whose identity assertions are believed.

use url::Url;

use crate::config::at::At;
use crate::config::check::Check;
use crate::config::file;
use crate::config::identity::issuer_url;
use crate::config::parse;

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
