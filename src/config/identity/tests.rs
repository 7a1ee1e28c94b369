//! Contract section 4 as tables: what each provider derives, and what it refuses.

use super::{Identity, Oidc};
use crate::config::file::{PkceMode, Provider};
use crate::config::tests::{load_text, load_valid, with_identity};

const TENANT: &str = "8a3e0c5d-1b2c-4d3e-9f40-5a6b7c8d9e0f";

fn identity(fields: &str) -> String {
    let client_id = if fields.contains("clientId") { "" } else { ", clientId: x" };
    with_identity(&format!("provider: {fields}{client_id}, clientSecret: $env(SECRET)"))
}

fn oidc(fields: &str) -> Oidc {
    match load_valid(&identity(fields)).identity {
        Identity::Oidc(oidc) => *oidc,
        Identity::Dev { .. } => panic!("{fields}"),
    }
}

#[test]
fn issuer_and_endpoints_are_derived() {
    let tenant = format!("entra, tenantId: {TENANT}");
    let upper_tenant = format!("entra, tenantId: {}", TENANT.to_uppercase());
    let entra = format!("https://login.microsoftonline.com/{TENANT}");
    let ping = format!("ping, environmentId: {TENANT}");
    let ping_au = format!("ping, environmentId: {TENANT}, region: australia");
    let rows = [
        (
            "auth0, auth0Domain: acme.eu.auth0.com",
            "https://acme.eu.auth0.com/".to_owned(),
            "https://acme.eu.auth0.com/.well-known/jwks.json".to_owned(),
            "https://acme.eu.auth0.com/authorize".to_owned(),
            "https://acme.eu.auth0.com/oauth/token".to_owned(),
        ),
        (
            "cognito, awsRegion: eu-central-1, userPoolId: eu-central-1_AbC, userPoolDomain: login.example.com",
            "https://cognito-idp.eu-central-1.amazonaws.com/eu-central-1_AbC".to_owned(),
            "https://cognito-idp.eu-central-1.amazonaws.com/eu-central-1_AbC/.well-known/jwks.json".to_owned(),
            "https://login.example.com/oauth2/authorize".to_owned(),
            "https://login.example.com/oauth2/token".to_owned(),
        ),
        (
            "clerk, frontendApiUrl: \"https://clerk.example.com/\"",
            "https://clerk.example.com".to_owned(),
            "https://clerk.example.com/.well-known/jwks.json".to_owned(),
            "https://clerk.example.com/oauth/authorize".to_owned(),
            "https://clerk.example.com/oauth/token".to_owned(),
        ),
        (
            "google, clientId: 1-a.apps.googleusercontent.com",
            "https://accounts.google.com".to_owned(),
            "https://www.googleapis.com/oauth2/v3/certs".to_owned(),
            "https://accounts.google.com/o/oauth2/v2/auth".to_owned(),
            "https://oauth2.googleapis.com/token".to_owned(),
        ),
        (
            "keycloak, keycloakBaseUrl: \"https://id.example.com/auth/\", realm: acme",
            "https://id.example.com/auth/realms/acme".to_owned(),
            "https://id.example.com/auth/realms/acme/protocol/openid-connect/certs".to_owned(),
            "https://id.example.com/auth/realms/acme/protocol/openid-connect/auth".to_owned(),
            "https://id.example.com/auth/realms/acme/protocol/openid-connect/token".to_owned(),
        ),
        (
            "logto, logtoEndpoint: \"https://acme.logto.app\"",
            "https://acme.logto.app/oidc".to_owned(),
            "https://acme.logto.app/oidc/jwks".to_owned(),
            "https://acme.logto.app/oidc/auth".to_owned(),
            "https://acme.logto.app/oidc/token".to_owned(),
        ),
        (
            &tenant,
            format!("{entra}/v2.0"),
            format!("{entra}/discovery/v2.0/keys"),
            format!("{entra}/oauth2/v2.0/authorize"),
            format!("{entra}/oauth2/v2.0/token"),
        ),
        (
            &upper_tenant,
            format!("{entra}/v2.0"),
            format!("{entra}/discovery/v2.0/keys"),
            format!("{entra}/oauth2/v2.0/authorize"),
            format!("{entra}/oauth2/v2.0/token"),
        ),
        (
            "okta, oktaDomain: acme.okta.com",
            "https://acme.okta.com".to_owned(),
            "https://acme.okta.com/oauth2/v1/keys".to_owned(),
            "https://acme.okta.com/oauth2/v1/authorize".to_owned(),
            "https://acme.okta.com/oauth2/v1/token".to_owned(),
        ),
        (
            "okta, oktaDomain: acme.okta.com, authorizationServerId: default",
            "https://acme.okta.com/oauth2/default".to_owned(),
            "https://acme.okta.com/oauth2/default/v1/keys".to_owned(),
            "https://acme.okta.com/oauth2/default/v1/authorize".to_owned(),
            "https://acme.okta.com/oauth2/default/v1/token".to_owned(),
        ),
        (
            "onelogin, oneLoginSubdomain: acme",
            "https://acme.onelogin.com/oidc/2".to_owned(),
            "https://acme.onelogin.com/oidc/2/certs".to_owned(),
            "https://acme.onelogin.com/oidc/2/auth".to_owned(),
            "https://acme.onelogin.com/oidc/2/token".to_owned(),
        ),
        (
            &ping,
            format!("https://auth.pingone.com/{TENANT}/as"),
            format!("https://auth.pingone.com/{TENANT}/as/jwks"),
            format!("https://auth.pingone.com/{TENANT}/as/authorize"),
            format!("https://auth.pingone.com/{TENANT}/as/token"),
        ),
        (
            &ping_au,
            format!("https://auth.pingone.com.au/{TENANT}/as"),
            format!("https://auth.pingone.com.au/{TENANT}/as/jwks"),
            format!("https://auth.pingone.com.au/{TENANT}/as/authorize"),
            format!("https://auth.pingone.com.au/{TENANT}/as/token"),
        ),
        (
            "ping, customDomain: login.example.com",
            "https://login.example.com/as".to_owned(),
            "https://login.example.com/as/jwks".to_owned(),
            "https://login.example.com/as/authorize".to_owned(),
            "https://login.example.com/as/token".to_owned(),
        ),
        (
            "workos, clientId: client_01A",
            "https://api.workos.com/user_management/client_01A".to_owned(),
            "https://api.workos.com/sso/jwks/client_01A".to_owned(),
            "https://api.workos.com/user_management/authorize".to_owned(),
            "https://api.workos.com/user_management/authenticate".to_owned(),
        ),
    ];
    for (fields, issuer, jwks, authorize, token) in rows {
        let oidc = oidc(fields);
        let url = |url: Option<url::Url>| url.map(String::from);
        assert_eq!(oidc.issuer, issuer, "{fields}");
        assert!(!oidc.endpoints.need_discovery(), "{fields}");
        assert_eq!(url(oidc.endpoints.jwks), Some(jwks), "{fields}");
        assert_eq!(url(oidc.endpoints.authorize), Some(authorize), "{fields}");
        assert_eq!(url(oidc.endpoints.token), Some(token), "{fields}");
    }
}

/// These keep e-mail, name or groups out of the ID token; the others are never asked.
#[test]
fn the_userinfo_endpoint_is_derived_where_claims_are_kept_there() {
    let ping = format!("ping, environmentId: {TENANT}, region: europe");
    let ping_userinfo = format!("https://auth.pingone.eu/{TENANT}/as/userinfo");
    for (fields, userinfo) in [
        ("okta, oktaDomain: acme.okta.com", Some("https://acme.okta.com/oauth2/v1/userinfo")),
        (
            "okta, oktaDomain: acme.okta.com, authorizationServerId: aus1",
            Some("https://acme.okta.com/oauth2/aus1/v1/userinfo"),
        ),
        ("onelogin, oneLoginSubdomain: acme", Some("https://acme.onelogin.com/oidc/2/me")),
        (&ping, Some(ping_userinfo.as_str())),
        ("auth0, auth0Domain: acme.eu.auth0.com", None),
        ("google, clientId: 1-a.apps.googleusercontent.com", None),
        ("workos, clientId: client_01A", None),
        ("oidc, issuer: \"https://a\"", None),
    ] {
        assert_eq!(oidc(fields).endpoints.userinfo.as_ref().map(url::Url::as_str), userinfo, "{fields}");
    }
}

#[test]
fn ping_regions_have_their_hosts() {
    for (region, host) in [
        ("north-america", "auth.pingone.com"),
        ("canada", "auth.pingone.ca"),
        ("europe", "auth.pingone.eu"),
        ("singapore", "auth.pingone.sg"),
        ("australia", "auth.pingone.com.au"),
        ("asia-pacific", "auth.pingone.asia"),
    ] {
        let oidc = oidc(&format!("ping, environmentId: {TENANT}, region: {region}"));
        assert_eq!(oidc.issuer, format!("https://{host}/{TENANT}/as"));
    }
}

/// OpenID Connect Core section 2: `iss` is compared as it is, so the issuer keeps its spelling.
#[test]
fn a_generic_provider_keeps_the_issuer_as_it_is_spelled() {
    for issuer in ["https://login.example.com", "https://login.example.com/", "http://127.0.0.1:3000/oidc"] {
        let oidc = oidc(&format!("oidc, issuer: \"{issuer}\", tokenUrl: \"https://a/token\""));
        assert_eq!(oidc.issuer, issuer);
        assert!(oidc.endpoints.need_discovery());
        assert_eq!(oidc.endpoints.token.unwrap().as_str(), "https://a/token");
    }
}

#[test]
fn common_options_have_defaults() {
    let oidc = oidc("oidc, issuer: \"https://a\"");
    assert_eq!((oidc.scope.as_str(), oidc.pkce), ("openid profile email", PkceMode::Auto));
    assert_eq!(oidc.remote_timeout, std::time::Duration::from_secs(10));
    assert_eq!(oidc.audience, None);
    assert!(!oidc.provider.accepts_pkce() && Provider::Entra.accepts_pkce());
}

#[test]
fn bad_fields_stop_the_start_with_one_message() {
    let rows = [
        ("auth0", "identity.auth0Domain: missing"),
        ("auth0, auth0Domain: \"https://acme.auth0.com\"", "a domain such as login.example.com, without scheme"),
        ("auth0, auth0Domain: acme.auth0.com/x", "identity.auth0Domain: \"acme.auth0.com/x\" does not fit"),
        ("auth0, auth0Domain: acme", "a domain such as"),
        ("auth0, auth0Domain: 1.2.3.999", "a domain such as"),
        ("auth0, auth0Domain: -a.b", "a domain such as"),
        ("cognito, awsRegion: europe, userPoolId: eu-central-1_A, userPoolDomain: a.b", "an AWS region"),
        (
            "cognito, awsRegion: eu-west-1, userPoolId: eu-central-1_A, userPoolDomain: a.b",
            "of the region in awsRegion",
        ),
        ("cognito, awsRegion: eu-west-1, userPoolId: A, userPoolDomain: a.b", "identity.userPoolId"),
        ("cognito, awsRegion: eu-west-1, userPoolId: eu-west-1_A, userPoolDomain: \"https://a.b\"", "userPoolDomain"),
        ("cognito, awsRegion: eu-west-1, userPoolId: eu-west-1_A, userPoolDomain: a.b/x", "without scheme, port, path"),
        ("clerk, frontendApiUrl: clerk.example.com", "an https URL such as"),
        ("clerk, frontendApiUrl: \"https://a.b/x\"", "without path, query, fragment or user"),
        ("clerk, frontendApiUrl: \"https://a.b?x\"", "identity.frontendApiUrl"),
        ("clerk, frontendApiUrl: \"https://a.b#x\"", "identity.frontendApiUrl"),
        ("clerk, frontendApiUrl: \"https://u@a.b\"", "identity.frontendApiUrl"),
        ("google, clientId: x", "identity.clientId: \"x\" does not fit: expected a client id that ends in"),
        ("keycloak, keycloakBaseUrl: \"https://a.b/realms/x\", realm: x", "the URL before /realms/"),
        ("keycloak, keycloakBaseUrl: \"https://a.b/realms\", realm: x", "the URL before /realms/"),
        ("keycloak, keycloakBaseUrl: a.b, realm: x", "identity.keycloakBaseUrl"),
        ("keycloak, keycloakBaseUrl: \"https://a.b\", realm: x/y", "without slashes or spaces"),
        ("keycloak, keycloakBaseUrl: \"https://a.b\"", "identity.realm: missing: the name of the realm"),
        ("logto, logtoEndpoint: \"http://acme.logto.app\"", "an https URL"),
        ("logto, logtoEndpoint: \"https://acme.logto.app/oidc\"", "without path"),
        ("entra, tenantId: common", "identity.tenantId: \"common\" does not fit: expected the tenant's UUID"),
        ("entra, tenantId: organizations", "the tenant's UUID"),
        ("entra, tenantId: consumers", "the tenant's UUID"),
        ("entra, tenantId: acme.onmicrosoft.com", "the tenant's UUID"),
        ("entra, tenantId: \"https://login.microsoftonline.com/x\"", "the tenant's UUID"),
        ("okta, oktaDomain: \"https://acme.okta.com\"", "without scheme"),
        ("okta, oktaDomain: acme.okta.com/", "trailing slash"),
        ("okta, oktaDomain: acme.okta.com/oauth2", "identity.oktaDomain"),
        ("okta, oktaDomain: acme-admin.okta.com", "without -admin: acme.okta.com, not acme-admin.okta.com"),
        ("okta", "identity.oktaDomain: missing: the organization's domain, such as acme.okta.com"),
        ("cognito, userPoolId: eu-west-1_A, userPoolDomain: a.b", "identity.awsRegion: missing: the AWS region"),
        ("cognito, awsRegion: eu-west-1, userPoolDomain: a.b", "identity.userPoolId: missing: the user pool id"),
        ("cognito, awsRegion: eu-west-1, userPoolId: eu-west-1_A", "identity.userPoolDomain: missing"),
        ("clerk", "identity.frontendApiUrl: missing: the frontend API URL, such as https://clerk.example.com"),
        ("clerk, frontendApiUrl: \"http://clerk.example.com\"", "an https URL such as"),
        ("keycloak, realm: acme", "identity.keycloakBaseUrl: missing: the base URL"),
        ("logto", "identity.logtoEndpoint: missing: the endpoint, such as https://acme.logto.app"),
        ("entra", "identity.tenantId: missing: the tenant's UUID"),
        ("onelogin", "identity.oneLoginSubdomain: missing: the subdomain: acme for https://acme.onelogin.com"),
        ("onelogin, oneLoginSubdomain: acme/x", "the subdomain alone"),
        ("ping, environmentId: 8a3e0c5d-1b2c-4d3e-9f40-5a6b7c8d9e0f, customDomain: a.b", "cannot be set together"),
        ("oidc, clientId: x", "identity.issuer: missing: the issuer's URL, such as https://login.example.com"),
        ("oidc, issuer: login.example.com", "expected the issuer's URL, such as https://login.example.com"),
        ("oidc, issuer: \"https://a?x=1\"", "without query or fragment"),
        ("oidc, issuer: \"https://a\", tokenUrl: /token", "identity.tokenUrl"),
        ("oidc, issuer: \"https://a\", scope: profile email", "expected scopes that include openid"),
        ("workos, clientId: client_A, pkce: none", "WorkOS has no nonce"),
        ("okta, oktaDomain: acme.okta.com, authorizationServerId: a/b", "identity.authorizationServerId"),
        ("onelogin, oneLoginSubdomain: acme.onelogin.com", "the subdomain alone"),
        ("onelogin, oneLoginSubdomain: \"https://acme\"", "the subdomain alone"),
        ("onelogin, oneLoginSubdomain: acme/", "identity.oneLoginSubdomain"),
        ("ping", "identity.environmentId: missing: the environment's UUID (or `customDomain`)"),
        ("ping, environmentId: x", "the environment's UUID"),
        ("ping, environmentId: 8a3e0c5d-1b2c-4d3e-9f40-5a6b7c8d9e0f, region: asia", "asia-pacific"),
        (
            "ping, customDomain: login.example.com, region: europe",
            "cannot be set together with `identity.customDomain`",
        ),
        ("ping, customDomain: login.example.com/as", "identity.customDomain"),
        ("workos, clientId: x", "a client id that starts with client_"),
        ("workos, clientId: client_a/b", "identity.clientId"),
        ("okta, oktaDomain: acme.okta.com, auth0Domain: a.b", "belongs to provider `auth0`, not to provider `okta`"),
    ];
    for (fields, words) in rows {
        let message = load_text(&identity(fields)).expect_err(fields).to_string();
        assert_eq!(message.lines().count(), 1, "{fields}\n{message}");
        assert!(message.contains(words), "{fields}\n{message}");
    }
}

#[test]
fn named_providers_need_a_secret() {
    let message = load_text(&with_identity("provider: okta, oktaDomain: acme.okta.com, clientId: x")).unwrap_err();
    assert!(message.to_string().contains("identity.clientSecret: missing"), "{message}");
    load_valid(&with_identity("provider: oidc, issuer: \"https://a\", clientId: x"));
}
