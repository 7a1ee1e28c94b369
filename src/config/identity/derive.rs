//! From a provider's few fields to its issuer and endpoints.

use url::Url;

use super::{Endpoints, rule};
use crate::config::at::At;
use crate::config::check::Check;
use crate::config::file::{Identity, PingRegion, Provider};
use crate::config::parse;
use crate::config::problem::Fault;

/// The issuer and the endpoints, if the fields they come from are valid.
pub fn derive(
    file: &Identity,
    provider: Provider,
    client_id: Option<&str>,
    check: &mut Check,
) -> Option<(String, Endpoints)> {
    match provider {
        Provider::Auth0 => auth0(file, check),
        Provider::Cognito => cognito(file, check),
        Provider::Clerk => clerk(file, check),
        Provider::Google => google(),
        Provider::Keycloak => keycloak(file, check),
        Provider::Logto => logto(file, check),
        Provider::Entra => entra(file, check),
        Provider::Okta => okta(file, check),
        Provider::OneLogin => onelogin(file, check),
        Provider::Ping => ping(file, check),
        Provider::WorkOs => workos(client_id?),
        Provider::Oidc => oidc(file, check),
        Provider::Dev => None,
    }
}

fn auth0(file: &Identity, check: &mut Check) -> Option<(String, Endpoints)> {
    let domain =
        check.parse_required(&file.auth0_domain, "the tenant's domain, such as acme.eu.auth0.com", rule::domain)?;
    let base = format!("https://{domain}");
    derived(
        format!("{base}/"),
        format!("{base}/.well-known/jwks.json"),
        format!("{base}/authorize"),
        format!("{base}/oauth/token"),
    )
}

fn cognito(file: &Identity, check: &mut Check) -> Option<(String, Endpoints)> {
    let region = check.parse_required(&file.aws_region, "the AWS region, such as eu-central-1", rule::aws_region);
    let pool = check.parse_required(&file.user_pool_id, "the user pool id, such as eu-central-1_AbCdEfGhI", |text| {
        rule::user_pool_id(text, region.as_deref())
    });
    let needs = "the user pool's domain, such as acme.auth.eu-central-1.amazoncognito.com";
    let domain = check.parse_required(&file.user_pool_domain, needs, rule::domain);
    let (region, pool, domain) = (region?, pool?, domain?);
    let issuer = format!("https://cognito-idp.{region}.amazonaws.com/{pool}");
    let jwks = format!("{issuer}/.well-known/jwks.json");
    derived(issuer, jwks, format!("https://{domain}/oauth2/authorize"), format!("https://{domain}/oauth2/token"))
}

fn clerk(file: &Identity, check: &mut Check) -> Option<(String, Endpoints)> {
    let needs = "the frontend API URL, such as https://clerk.example.com";
    let base = check.parse_required(&file.frontend_api_url, needs, rule::https_root)?;
    let jwks = format!("{base}/.well-known/jwks.json");
    let (authorize, token) = (format!("{base}/oauth/authorize"), format!("{base}/oauth/token"));
    derived(base, jwks, authorize, token)
}

fn google() -> Option<(String, Endpoints)> {
    derived(
        "https://accounts.google.com".to_owned(),
        "https://www.googleapis.com/oauth2/v3/certs".to_owned(),
        "https://accounts.google.com/o/oauth2/v2/auth".to_owned(),
        "https://oauth2.googleapis.com/token".to_owned(),
    )
}

fn keycloak(file: &Identity, check: &mut Check) -> Option<(String, Endpoints)> {
    let needs = "the base URL, such as https://keycloak.example.com";
    let base = check.parse_required(&file.keycloak_base_url, needs, rule::keycloak_base_url);
    let realm = check.parse_required(&file.realm, "the name of the realm", rule::realm);
    let issuer = format!("{}/realms/{}", base?, realm?);
    let endpoint = |name: &str| format!("{issuer}/protocol/openid-connect/{name}");
    let (jwks, authorize, token) = (endpoint("certs"), endpoint("auth"), endpoint("token"));
    derived(issuer, jwks, authorize, token)
}

fn logto(file: &Identity, check: &mut Check) -> Option<(String, Endpoints)> {
    let needs = "the endpoint, such as https://acme.logto.app";
    let base = check.parse_required(&file.logto_endpoint, needs, rule::https_root)?;
    below(format!("{base}/oidc"), "jwks", "auth", "token")
}

fn entra(file: &Identity, check: &mut Check) -> Option<(String, Endpoints)> {
    let tenant = check.parse_required(&file.tenant_id, "the tenant's UUID", rule::tenant_id)?;
    let base = format!("https://login.microsoftonline.com/{tenant}");
    derived(
        format!("{base}/v2.0"),
        format!("{base}/discovery/v2.0/keys"),
        format!("{base}/oauth2/v2.0/authorize"),
        format!("{base}/oauth2/v2.0/token"),
    )
}

fn okta(file: &Identity, check: &mut Check) -> Option<(String, Endpoints)> {
    let domain =
        check.parse_required(&file.okta_domain, "the organization's domain, such as acme.okta.com", rule::okta_domain);
    let server = check.parse(&file.authorization_server_id, |text| parse::slug(text));
    let issuer = format!("https://{}", domain?);
    let (issuer, base) = match server {
        Some(server) => (format!("{issuer}/oauth2/{server}"), format!("{issuer}/oauth2/{server}")),
        None => (issuer.clone(), format!("{issuer}/oauth2")),
    };
    let endpoint = |name: &str| format!("{base}/v1/{name}");
    let derived = derived(issuer, endpoint("keys"), endpoint("authorize"), endpoint("token"));
    with_userinfo(derived, &endpoint("userinfo"))
}

fn onelogin(file: &Identity, check: &mut Check) -> Option<(String, Endpoints)> {
    let needs = "the subdomain: acme for https://acme.onelogin.com";
    let subdomain = check.parse_required(&file.one_login_subdomain, needs, rule::subdomain)?;
    let issuer = format!("https://{subdomain}.onelogin.com/oidc/2");
    let userinfo = format!("{issuer}/me");
    with_userinfo(below(issuer, "certs", "auth", "token"), &userinfo)
}

fn ping(file: &Identity, check: &mut Check) -> Option<(String, Endpoints)> {
    let issuer = ping_issuer(file, check)?;
    let userinfo = format!("{issuer}/userinfo");
    with_userinfo(below(issuer, "jwks", "authorize", "token"), &userinfo)
}

fn ping_issuer(file: &Identity, check: &mut Check) -> Option<String> {
    if !file.custom_domain.is_unset() {
        for place in [super::set(&file.environment_id), super::set(&file.region)].into_iter().flatten() {
            check.report(place, Fault::Conflict { other: file.custom_domain.place.path.clone() });
        }
        let domain = check.parse(&file.custom_domain, |text| rule::domain(text))?;
        return Some(format!("https://{domain}/as"));
    }
    let needs = "the environment's UUID (or `customDomain`)";
    let environment = check.parse_required(&file.environment_id, needs, rule::environment_id)?;
    let host = ping_host(region_of(&file.region)?);
    Some(format!("https://{host}/{environment}/as"))
}

fn region_of(at: &At<PingRegion>) -> Option<PingRegion> {
    if at.is_unset() { Some(PingRegion::NorthAmerica) } else { at.get().copied() }
}

const fn ping_host(region: PingRegion) -> &'static str {
    match region {
        PingRegion::NorthAmerica => "auth.pingone.com",
        PingRegion::Canada => "auth.pingone.ca",
        PingRegion::Europe => "auth.pingone.eu",
        PingRegion::Singapore => "auth.pingone.sg",
        PingRegion::Australia => "auth.pingone.com.au",
        PingRegion::AsiaPacific => "auth.pingone.asia",
    }
}

fn workos(client_id: &str) -> Option<(String, Endpoints)> {
    const BASE: &str = "https://api.workos.com";
    derived(
        format!("{BASE}/user_management/{client_id}"),
        format!("{BASE}/sso/jwks/{client_id}"),
        format!("{BASE}/user_management/authorize"),
        format!("{BASE}/user_management/authenticate"),
    )
}

fn oidc(file: &Identity, check: &mut Check) -> Option<(String, Endpoints)> {
    let needs = "the issuer's URL, such as https://login.example.com";
    let issuer = check.parse_required(&file.issuer, needs, rule::issuer);
    let endpoints = Endpoints {
        jwks: check.parse(&file.jwks_url, |text| parse::http_url(text)),
        authorize: check.parse(&file.authorize_url, |text| parse::http_url(text)),
        token: check.parse(&file.token_url, |text| parse::http_url(text)),
        userinfo: None,
    };
    Some((issuer?, endpoints))
}

/// Endpoints that are the issuer's own path segments.
fn below(issuer: String, jwks: &str, authorize: &str, token: &str) -> Option<(String, Endpoints)> {
    let [jwks, authorize, token] = [jwks, authorize, token].map(|name| format!("{issuer}/{name}"));
    derived(issuer, jwks, authorize, token)
}

fn derived(issuer: String, jwks: String, authorize: String, token: String) -> Option<(String, Endpoints)> {
    let url = |text: String| Url::parse(&text).ok();
    let (jwks, authorize, token) = (Some(url(jwks)?), Some(url(authorize)?), Some(url(token)?));
    Some((issuer, Endpoints { jwks, authorize, token, userinfo: None }))
}

/// The endpoint of a provider that may keep e-mail, name and groups out of the ID token.
fn with_userinfo(derived: Option<(String, Endpoints)>, userinfo: &str) -> Option<(String, Endpoints)> {
    let (issuer, endpoints) = derived?;
    Some((issuer, Endpoints { userinfo: Some(Url::parse(userinfo).ok()?), ..endpoints }))
}
