use std::{sync::Arc, time::Duration};

use serde_json::{Value, json};

use super::fake::{
    Fake, OPENID_METADATA, ORIGIN, RESOURCE_METADATA, ROOT_RESOURCE_METADATA, SERVER_METADATA, discovery, on_loopback,
    settings,
};
use crate::{
    clock::Clock,
    upstream::{
        OauthSettings, Resource,
        authorization::{AuthorizationServer, DiscoveryError as Error},
    },
};

pub(super) async fn find(fake: &Fake) -> Result<Arc<AuthorizationServer>, Error> {
    on_loopback().discover(&fake.mcp(), &settings(), None).await
}

/// The paths that are asked for, behind the probe.
async fn places(fake: &Fake) -> Vec<String> {
    let _outcome = find(fake).await;
    fake.paths().split_off(1)
}

/// Server metadata as a real server's, at `place`, of `issuer`.
fn metadata_at(fake: &Fake, place: &str, issuer: &str) {
    fake.tell_json(
        place,
        &json!({
            "issuer": issuer,
            "authorization_endpoint": format!("{ORIGIN}/authorize"),
            "token_endpoint": format!("{ORIGIN}/token"),
            "code_challenge_methods_supported": ["S256"],
        }),
    );
}

#[tokio::test]
async fn the_challenge_leads_to_the_authorization_server() {
    let fake = Fake::start().await;
    let server = find(&fake).await.unwrap();
    let origin = fake.origin();
    assert_eq!(server.issuer, origin);
    assert_eq!(server.authorization_endpoint.as_str(), format!("{origin}/authorize"));
    assert_eq!(server.token_endpoint, fake.url("/token"));
    assert_eq!(server.registration_endpoint, Some(fake.url("/register")));
    assert_eq!(server.revocation_endpoint, Some(fake.url("/revoke")));
    assert_eq!(server.resource, format!("{origin}/mcp"));
    assert_eq!(server.challenge_scope.as_deref(), Some("issues:read"));
    assert_eq!(server.prm_scopes, ["issues:read", "issues:write"]);
    assert!(server.iss_supported && !server.cimd_supported);
    assert_eq!(fake.paths(), ["/mcp", RESOURCE_METADATA, SERVER_METADATA]);
    let kept = serde_json::to_string(&*server).unwrap();
    assert_eq!(serde_json::from_str::<AuthorizationServer>(&kept).unwrap(), *server);
}

#[tokio::test]
async fn the_probe_is_a_harmless_request_without_a_token() {
    let fake = Fake::start().await;
    find(&fake).await.unwrap();
    let probe = fake.last("/mcp");
    assert_eq!((probe.method.as_str(), probe.header("authorization"), probe.header("cookie")), ("POST", None, None));
    assert_eq!(probe.header("accept"), Some("application/json, text/event-stream"));
    assert_eq!(serde_json::from_str::<Value>(&probe.body).unwrap()["method"], "ping");
}

#[tokio::test]
async fn a_challenge_that_is_known_saves_the_probe() {
    let fake = Fake::start().await;
    let challenge = format!("Bearer scope=\"a b\", resource_metadata=\"{}/elsewhere\"", fake.origin());
    fake.tell_json("/elsewhere", &json!({"resource": format!("{ORIGIN}/mcp"), "authorization_servers": [ORIGIN]}));
    let server = on_loopback().discover(&fake.mcp(), &settings(), Some(&challenge)).await.unwrap();
    assert_eq!(server.challenge_scope.as_deref(), Some("a b"));
    assert_eq!(fake.paths(), ["/elsewhere", SERVER_METADATA]);
}

/// CL-01: several challenges in several lines, quoted strings, other schemes.
#[tokio::test]
async fn the_bearer_challenge_is_found_among_others() {
    let fake = Fake::start().await;
    fake.tell(
        "/mcp",
        401,
        &[
            (
                "WWW-Authenticate",
                "Basic realm=\"a, Bearer resource_metadata=\\\"http://evil.example\\\"\", DPoP algs=\"ES256\"",
            ),
            ("WWW-Authenticate", "bearer realm=\"x\", resource_metadata=\"ORIGIN/prm\" , scope=\"s\""),
        ],
        "",
    );
    fake.tell_json("/prm", &json!({"resource": format!("{ORIGIN}/mcp"), "authorization_servers": [ORIGIN]}));
    assert_eq!(find(&fake).await.unwrap().challenge_scope.as_deref(), Some("s"));
}

/// CL-02: the root is not asked where the path-inserted document exists. Quirk "Linear: PRM at origin root, not under
/// `/mcp`", "Stripe: endpoint at origin root", "Notion: PRM under `/mcp`".
#[tokio::test]
async fn without_a_challenge_the_well_known_places_are_asked_in_order() {
    let fake = Fake::start().await;
    fake.tell("/mcp", 401, &[], "");
    assert_eq!(places(&fake).await, [RESOURCE_METADATA, SERVER_METADATA]);

    let fake = Fake::start().await;
    fake.tell("/mcp", 200, &[], "{}");
    fake.tell(RESOURCE_METADATA, 404, &[], "");
    fake.tell_json(ROOT_RESOURCE_METADATA, &json!({"resource": ORIGIN, "authorization_servers": [ORIGIN]}));
    assert_eq!(places(&fake).await, [RESOURCE_METADATA, ROOT_RESOURCE_METADATA, SERVER_METADATA]);
    assert_eq!(find(&fake).await.unwrap().resource, fake.origin());
}

#[tokio::test]
async fn the_configured_metadata_url_wins_and_nothing_stands_in_for_it() {
    let fake = Fake::start().await;
    fake.tell_json("/configured", &json!({"resource": format!("{ORIGIN}/mcp"), "authorization_servers": [ORIGIN]}));
    let configured = OauthSettings { protected_resource_metadata_url: Some(fake.url("/configured")), ..settings() };
    let server = on_loopback().discover(&fake.mcp(), &configured, None).await.unwrap();
    assert_eq!(server.challenge_scope.as_deref(), Some("issues:read"));
    assert_eq!(fake.paths(), ["/mcp", "/configured", SERVER_METADATA]);

    let with_scopes = OauthSettings { scopes: vec!["mcp".to_owned()], ..configured.clone() };
    on_loopback().discover(&fake.mcp(), &with_scopes, None).await.unwrap();
    assert_eq!(fake.paths().split_off(3), ["/configured", SERVER_METADATA]);

    fake.tell("/configured", 404, &[], "");
    let error = on_loopback().discover(&fake.mcp(), &configured, None).await.unwrap_err();
    assert!(matches!(&error, Error::ResourceMetadata(_)) && !error.is_transient(), "{error:?}");
    assert!(error.operator_hint().contains("protectedResourceMetadataUrl"));
}

/// RFC 9728 section 3.3, CL-03; quirk "PRM `resource` broader than the URL (prefix), default port included, or on
/// another host".
#[tokio::test]
async fn metadata_of_another_resource_is_refused() {
    for (announced, accepted) in [
        (json!(format!("{ORIGIN}/mcp")), true),
        (json!(format!("{ORIGIN}/mcp/")), true),
        (json!(format!("{ORIGIN}/")), true),
        (json!(ORIGIN), true),
        (json!(format!("{ORIGIN}/mc")), false),
        (json!(format!("{ORIGIN}/mcp/admin")), false),
        (json!("https://other.example/mcp"), false),
        (json!("http://127.0.0.1:1/mcp"), false),
        (json!(null), false),
    ] {
        let fake = Fake::start().await;
        fake.with_resource_metadata(&json!({"resource": announced}));
        let outcome = find(&fake).await;
        if accepted {
            assert_eq!(outcome.unwrap().resource, announced.as_str().unwrap().replace(ORIGIN, &fake.origin()));
        } else {
            assert!(matches!(outcome, Err(Error::ResourceMismatch { .. })), "{announced}: {outcome:?}");
        }
    }
}

#[tokio::test]
async fn the_operator_may_vouch_for_an_identifier_of_another_host() {
    let fake = Fake::start().await;
    fake.with_resource_metadata(&json!({"resource": "https://mcp.other.example/mcp"}));
    let vouching = |uri: &str| OauthSettings { resource: Resource::Uri(uri.to_owned()), ..settings() };
    let found = on_loopback().discover(&fake.mcp(), &vouching("https://mcp.other.example/mcp/"), None).await;
    assert_eq!(found.unwrap().resource, "https://mcp.other.example/mcp");
    let found = on_loopback().discover(&fake.mcp(), &vouching("https://mcp.other.example/"), None).await;
    assert!(matches!(found, Err(Error::ResourceMismatch { .. })));
}

/// CL-04, CL-05. Quirks "GitHub: issuer has a path", "Many: AS metadata at `/.well-known/openid-configuration`,
/// path-insertion or path-append forms".
#[tokio::test]
async fn server_metadata_is_found_in_every_form_and_the_root_of_a_path_issuer_is_never_asked() {
    let inserted = "/.well-known/oauth-authorization-server/login/oauth";
    let openid_inserted = "/.well-known/openid-configuration/login/oauth";
    let appended = "/login/oauth/.well-known/openid-configuration";
    for (place, asked) in [
        (inserted, vec![RESOURCE_METADATA, inserted]),
        (openid_inserted, vec![RESOURCE_METADATA, inserted, openid_inserted]),
        (appended, vec![RESOURCE_METADATA, inserted, openid_inserted, appended]),
    ] {
        let fake = Fake::start().await;
        let issuer = format!("{ORIGIN}/login/oauth");
        fake.with_resource_metadata(&json!({"authorization_servers": [issuer]}));
        metadata_at(&fake, place, &issuer);
        assert_eq!(places(&fake).await, asked);
        assert!(find(&fake).await.is_ok());
    }
    let fake = Fake::start().await;
    fake.tell(SERVER_METADATA, 404, &[], "");
    metadata_at(&fake, OPENID_METADATA, ORIGIN);
    assert_eq!(places(&fake).await, [RESOURCE_METADATA, SERVER_METADATA, OPENID_METADATA]);
}

/// RFC 8414 section 3.3, CL-06.
#[tokio::test]
async fn metadata_of_another_issuer_is_unusable() {
    for issuer in ["https://evil.example", "ORIGIN/tenant", "ORIGIN//", "", "HTTP://127.0.0.1"] {
        let fake = Fake::start().await;
        fake.with_metadata(&json!({"issuer": issuer}));
        let error = find(&fake).await.unwrap_err();
        assert!(matches!(error, Error::IssuerMismatch { .. }), "{issuer}: {error:?}");
    }
}

/// Quirk "Auth0": the issuer ends in a slash, which what names it forgets. `iss` will be compared with the issuer's own
/// spelling.
#[tokio::test]
async fn a_slash_at_the_end_of_the_issuer_makes_no_difference_and_its_own_spelling_is_kept() {
    let fake = Fake::start().await;
    fake.with_metadata(&json!({"issuer": format!("{ORIGIN}/")}));
    assert_eq!(find(&fake).await.unwrap().issuer, format!("{}/", fake.origin()));
    let fake = Fake::start().await;
    fake.with_resource_metadata(&json!({"authorization_servers": [format!("{ORIGIN}/")]}));
    assert_eq!(find(&fake).await.unwrap().issuer, fake.origin());
}

/// CL-08. Quirk "Entra: omits PKCE from metadata".
#[tokio::test]
async fn an_authorization_server_that_does_not_offer_s256_is_refused() {
    for methods in [json!(null), json!([]), json!(["plain"]), json!("S256"), json!(["s256"])] {
        let fake = Fake::start().await;
        fake.with_metadata(&json!({"code_challenge_methods_supported": methods}));
        let error = find(&fake).await.unwrap_err();
        assert!(matches!(error, Error::NoPkce { .. }) && !error.is_transient(), "{methods}: {error:?}");
        assert!(error.operator_hint().contains("code_challenge_methods_supported"));
    }
}

/// CL-09.
#[tokio::test]
async fn endpoints_that_are_no_web_addresses_are_refused() {
    for member in ["authorization_endpoint", "token_endpoint"] {
        for endpoint in
            [json!(null), json!("javascript:alert(document.cookie)"), json!("/authorize"), json!("file:///x")]
        {
            let fake = Fake::start().await;
            fake.with_metadata(&json!({member: endpoint}));
            let error = find(&fake).await.unwrap_err();
            assert!(
                matches!(&error, Error::Endpoint { member: named, .. } if *named == member),
                "{endpoint}: {error:?}"
            );
        }
    }
    let fake = Fake::start().await;
    fake.with_metadata(&json!({"registration_endpoint": "data:,x", "revocation_endpoint": 7}));
    let server = find(&fake).await.unwrap();
    assert_eq!((&server.registration_endpoint, &server.revocation_endpoint), (&None, &None));
}

#[tokio::test]
async fn the_first_usable_of_several_authorization_servers_is_taken() {
    let fake = Fake::start().await;
    fake.with_resource_metadata(&json!({"authorization_servers": ["urn:x", format!("{ORIGIN}/gone"), ORIGIN]}));
    assert_eq!(find(&fake).await.unwrap().issuer, fake.origin());

    // While one is down, another is not taken: connections and registrations belong to an issuer.
    fake.tell("/.well-known/oauth-authorization-server/gone", 503, &[], "");
    assert!(find(&fake).await.unwrap_err().is_transient());

    fake.with_resource_metadata(&json!({"authorization_servers": ["urn:x", format!("{ORIGIN}/none")]}));
    assert!(matches!(find(&fake).await, Err(Error::BadIssuer { .. })));
}

/// Revision 2025-03-26, whose servers have no resource metadata.
#[tokio::test]
async fn the_origin_of_an_upstream_without_metadata_is_its_issuer() {
    let fake = Fake::start().await;
    fake.tell("/mcp", 401, &[("WWW-Authenticate", "Bearer")], "");
    fake.tell(RESOURCE_METADATA, 404, &[], "");
    let server = find(&fake).await.unwrap();
    assert_eq!((&server.issuer, &server.resource), (&fake.origin(), &format!("{}/mcp", fake.origin())));
    assert!(server.prm_scopes.is_empty());
    assert_eq!(fake.paths().split_off(1), [RESOURCE_METADATA, ROOT_RESOURCE_METADATA, SERVER_METADATA]);

    fake.tell(SERVER_METADATA, 404, &[], "");
    let error = find(&fake).await.unwrap_err();
    assert!(matches!(error, Error::NoServerMetadata { .. }) && !error.is_transient());
}

/// An upstream that is down for a moment must not seem to be one without metadata.
#[tokio::test]
async fn an_outage_is_not_taken_for_an_absence() {
    for path in [RESOURCE_METADATA, SERVER_METADATA] {
        for status in [500, 502, 503, 429, 408] {
            let fake = Fake::start().await;
            fake.tell(path, status, &[], "<html>");
            let error = find(&fake).await.unwrap_err();
            assert!(error.is_transient(), "{path} {status}: {error:?}");
        }
    }
    let fake = Fake::start().await;
    let url = fake.mcp();
    drop(fake);
    assert!(on_loopback().discover(&url, &settings(), None).await.unwrap_err().is_transient());
}

/// Quirk "WAF/CDN", and hosts that answer every path with a page or the way to a login.
#[tokio::test]
async fn a_page_or_a_login_where_a_document_should_be_counts_as_absent() {
    for (status, headers, body) in [
        (200, [("Content-Type", "text/html")], "<!doctype html>"),
        (302, [("Location", "https://login.example/")], ""),
        (403, [("Content-Type", "text/html")], "<html>Access denied"),
        (405, [("Allow", "POST")], ""),
    ] {
        let fake = Fake::start().await;
        fake.tell("/mcp", 401, &[], "");
        fake.tell(RESOURCE_METADATA, status, &headers, body);
        assert!(find(&fake).await.is_ok(), "{status}");
    }
}

#[tokio::test]
async fn what_was_found_is_kept_for_ten_minutes_or_until_it_is_forgotten_or_the_challenge_changes() {
    let fake = Fake::start().await;
    let clock = Clock::adjustable();
    let discovery = discovery(&["127.0.0.0/8"], &clock);
    let find = || async { discovery.discover(&fake.mcp(), &settings(), None).await.unwrap() };
    let probes = || fake.paths().iter().filter(|path| *path == "/mcp").count();

    find().await;
    clock.advance(Duration::from_secs(599));
    find().await;
    assert_eq!(probes(), 1);
    clock.advance(Duration::from_secs(2));
    find().await;
    assert_eq!(probes(), 2);
    discovery.forget(&fake.url("/other"));
    find().await;
    assert_eq!(probes(), 2);
    discovery.forget(&fake.mcp());
    find().await;
    assert_eq!(probes(), 3);

    let fetches = fake.paths().len();
    let challenge = format!("Bearer resource_metadata=\"{}{RESOURCE_METADATA}\", scope=\"more\"", fake.origin());
    for _ in 0..2 {
        let server = discovery.discover(&fake.mcp(), &settings(), Some(&challenge)).await.unwrap();
        assert_eq!(server.challenge_scope.as_deref(), Some("more"));
    }
    assert_eq!(fake.paths().len(), fetches + 2);
    assert_eq!(find().await.challenge_scope.as_deref(), Some("more"));
}

#[tokio::test]
async fn concurrent_discoveries_are_one_and_a_failure_is_not_kept() {
    let fake = Fake::start().await;
    let discovery = Arc::new(on_loopback());
    fake.tell(SERVER_METADATA, 500, &[], "");
    assert!(discovery.discover(&fake.mcp(), &settings(), None).await.is_err());
    fake.with_metadata(&json!({}));
    let before = fake.paths().len();
    let mut calls = tokio::task::JoinSet::new();
    for _ in 0..32 {
        let (discovery, url) = (Arc::clone(&discovery), fake.mcp());
        calls.spawn(async move { discovery.discover(&url, &settings(), None).await.is_ok() });
    }
    assert!(calls.join_all().await.into_iter().all(|found| found));
    assert_eq!(fake.paths().len(), before + 3);
}
