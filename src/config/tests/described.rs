//! What `sallyport check` says about each identity provider, and whether its guide says the same.

use std::{fs, path::Path};

use super::load_valid;
use crate::config::{Identity, describe, file::Provider};

const TENANT: &str = "8a3e0c5d-1b2c-4d3e-9f40-5a6b7c8d9e0f";

/// Each provider with the fields that it needs, and where it takes redirect URIs.
fn providers() -> [(Provider, String, &'static str); 13] {
    let with = |provider, fields: &str, place| (provider, format!("{fields}, clientSecret: $env(SECRET)"), place);
    [
        with(Provider::Auth0, "auth0Domain: acme.eu.auth0.com, clientId: x", "Allowed Callback URLs"),
        with(
            Provider::Cognito,
            "awsRegion: eu-central-1, userPoolId: eu-central-1_AbC, userPoolDomain: login.example.com, clientId: x",
            "Allowed callback URLs",
        ),
        with(Provider::Clerk, "frontendApiUrl: \"https://clerk.example.com\", clientId: x", "Redirect URIs"),
        with(Provider::Google, "clientId: 1-a.apps.googleusercontent.com", "Authorized redirect URIs"),
        with(
            Provider::Keycloak,
            "keycloakBaseUrl: \"https://id.example.com\", realm: acme, clientId: x",
            "Valid redirect URIs",
        ),
        with(Provider::Logto, "logtoEndpoint: \"https://acme.logto.app\", clientId: x", "Redirect URIs"),
        with(Provider::Entra, &format!("tenantId: {TENANT}, clientId: x"), "Redirect URIs"),
        with(Provider::Okta, "oktaDomain: acme.okta.com, clientId: x", "Sign-in redirect URIs"),
        with(Provider::OneLogin, "oneLoginSubdomain: acme, clientId: x", "Redirect URI's"),
        with(Provider::Ping, &format!("environmentId: {TENANT}, clientId: x"), "Redirect URIs"),
        with(Provider::WorkOs, "clientId: client_1", "Redirects"),
        with(
            Provider::Oidc,
            "issuer: \"https://login.example.com\", clientId: x",
            "the application with this client id",
        ),
        (Provider::Dev, "users: [ada]".to_owned(), ""),
    ]
}

/// Contract section 4: an operator registers what `check` prints, where `check` says.
#[test]
fn each_provider_is_described_with_what_to_register_there() {
    for (provider, fields, place) in providers() {
        let name = provider.name();
        let config = load_valid(&format!(
            "server: {{publicOrigin: [\"https://gateway.example.com\", \"https://other.example.com\"], basePath: /_gw}}\n\
             identity: {{provider: {name}, {fields}}}\nroutes:\n  - {{path: /mcp/a, operationId: a, upstream: {{url: \
             \"https://mcp.example.com\", authMode: none}}}}\n"
        ));
        let text = describe(&config);
        let has = |line: &str| assert!(text.lines().any(|is| is == line), "{name}: {line}\n---\n{text}");
        let Identity::Oidc(oidc) = &config.identity else {
            assert_eq!(provider, Provider::Dev);
            has("Identity provider: dev (anybody on this machine, without a password)");
            assert!(!text.contains("/oauth/callback"), "dev has nothing to register\n{text}");
            continue;
        };
        assert_eq!(oidc.provider, provider);
        has(&format!("Identity provider: {name}"));
        has(&format!("  issuer          {}", oidc.issuer));
        for (what, url) in [
            ("keys           ", &oidc.endpoints.jwks),
            ("authorization  ", &oidc.endpoints.authorize),
            ("token          ", &oidc.endpoints.token),
        ] {
            assert_eq!(url.is_none(), provider == Provider::Oidc, "{name}: {what}");
            has(&format!("  {what} {}", url.as_ref().map_or("discovered from the issuer", url::Url::as_str)));
        }
        has(&format!("  client id       {}", oidc.client_id));
        let mut lines = text.lines().skip_while(|line| !line.starts_with("  Register there this redirect URI, at "));
        assert!(lines.next().is_some_and(|line| line.ends_with(&format!("{place}:"))), "{name}: {place}\n---\n{text}");
        assert_eq!(lines.next(), Some("    https://gateway.example.com/_gw/oauth/callback"), "{name}");
        assert_eq!(lines.next(), Some("    https://other.example.com/_gw/oauth/callback"), "{name}");
        assert!(!text.contains("s3cr3t-v4lue"), "{name}: the client secret is printed");
    }
}

#[test]
fn each_provider_has_a_guide_that_names_the_same_place_and_keys() {
    let guides = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/identity-providers");
    let overview = fs::read_to_string(guides.join("README.md")).unwrap();
    for (provider, fields, place) in providers() {
        let name = provider.name();
        assert!(overview.contains(&format!("| [{name}]({name}.md) |")), "{name} is not in the overview");
        let guide = fs::read_to_string(guides.join(format!("{name}.md"))).unwrap();
        assert!(guide.contains(&format!("provider: {name}")), "{name}: no example");
        for (key, _) in fields.split(", ").filter_map(|field| field.split_once(':')) {
            assert!(guide.contains(&format!("{key}: ")), "{name}: the guide has no {key}");
        }
        match provider {
            Provider::Dev => {}
            Provider::Oidc => assert!(guide.contains("Redirect URI: `https://gateway.example.com/oauth/callback`")),
            _ => {
                assert!(guide.contains(place), "{name}: the guide does not say {place}");
                assert!(guide.contains("https://gateway.example.com/oauth/callback"), "{name}: no redirect URI");
                assert!(guide.contains("\n## Errors\n"), "{name}: no errors");
            }
        }
    }
}
