//! What a valid file becomes.

use std::path::PathBuf;
use std::time::Duration;

use super::{load_text, load_valid, with_identity, with_sections, with_upstream};
use crate::config::{
    AllowedOrigin, AuthMode, ClientAuth, ClientRegistration, HttpVersion, Identity, LogFormat, LogLevel, Prompt,
    ResourceParameter, Store, Upstream, UpstreamAuth, UpstreamOauth, describe,
};

fn upstream(keys: &str) -> Upstream {
    load_valid(&with_upstream(keys)).routes.remove(0).upstream
}

fn oauth(keys: &str) -> UpstreamOauth {
    match upstream(keys).auth {
        UpstreamAuth::UserOauth(oauth) => oauth,
        other => panic!("{other:?}"),
    }
}

/// Contract section 10 and 11.
#[test]
fn defaults_are_those_of_the_contract() {
    let config = load_valid(&with_sections(""));
    assert_eq!(config.server.listen[0].address, "127.0.0.1:8080".parse().unwrap());
    assert_eq!(config.server.admin_listen, "127.0.0.1:9464".parse().unwrap());
    assert_eq!(config.server.base_path.join("/oauth/token"), "/oauth/token");
    assert_eq!(config.server.trusted_proxies.len(), 6);
    assert_eq!(config.server.grace_period, Duration::from_secs(25));
    assert!(config.server.threads >= 1);
    assert!(config.server.public_origins.is_empty() && config.server.allowed_origins.is_empty());
    assert_eq!(config.store, Store::Sqlite { path: PathBuf::from("data/sallyport.db") });
    assert_eq!(config.browser_login.session_ttl, Duration::from_secs(8 * 3600));
    assert_eq!(config.browser_login.state_ttl, Duration::from_secs(15 * 60));
    assert_eq!(config.gateway.access_token_ttl, Duration::from_secs(15 * 60));
    assert_eq!(config.gateway.refresh_token_ttl, Duration::from_secs(315_360_000));
    assert_eq!(config.gateway.refresh_grace, Duration::from_secs(30));
    assert!(config.gateway.cimd_enabled);
    assert_eq!((config.log.format, config.log.level), (LogFormat::Auto, LogLevel::Info));
    assert_eq!(config.identity, Identity::Dev { users: vec!["dev-browser-user".to_owned()] });
    assert!(config.warnings.is_empty());

    let upstream = upstream("");
    assert_eq!(upstream.auth.mode(), AuthMode::UserOauth);
    assert_eq!(upstream.http, HttpVersion::Http1);
    assert_eq!(upstream.connect_timeout, Duration::from_millis(5000));
    assert_eq!(upstream.response_timeout, Duration::from_millis(300_000));
    assert!(upstream.forward_search && !upstream.follow_redirects);
    let oauth = oauth("");
    assert_eq!(oauth.registration, ClientRegistration::Auto);
    assert_eq!((oauth.prompt, oauth.resource), (Prompt::Auto, ResourceParameter::Send));
}

#[test]
fn null_and_empty_sections_mean_not_set() {
    let text =
        with_sections("server:\nstore: {url: }\noutbound: {caFile: null}\nlog: {}\ntelemetry: {otlpEndpoint: null}");
    assert_eq!(load_valid(&text), load_valid(&with_sections("")));
}

#[test]
fn server_values_become_types() {
    let config = load_valid(&with_sections(
        "server:\n  listen: [\"127.0.0.1:0\", {address: \"[::1]:8443\", tls: {cert: c.pem, key: k.pem}}]\n  basePath: /_gw/\n  \
         publicOrigin: [\"https://Gateway.example.com:443\", \"http://localhost:8080\"]\n  allowedOrigins: [\"*\", \
         \"https://app.example.com\"]\n  trustedProxies: [10.1.2.3]\n  threads: 3",
    ));
    let server = config.server;
    assert_eq!(server.listen[1].tls.as_ref().unwrap().key, PathBuf::from("k.pem"));
    assert_eq!(server.base_path.join("/oauth/token"), "/_gw/oauth/token");
    let origins: Vec<String> = server.public_origins.iter().map(ToString::to_string).collect();
    assert_eq!(origins, ["https://gateway.example.com", "http://localhost:8080"]);
    assert_eq!(server.allowed_origins[0], AllowedOrigin::Any);
    assert_eq!(server.trusted_proxies, ["10.1.2.3/32".parse().unwrap()]);
    assert_eq!(server.threads, 3);
    assert!(config.warnings.is_empty());
}

#[test]
fn one_public_origin_needs_no_list() {
    let config = load_valid(&with_sections("server: {publicOrigin: \"https://gateway.example.com\"}"));
    assert_eq!(config.server.public_origins.len(), 1);
}

#[test]
fn own_paths_are_reserved_below_the_base_path_only() {
    let route = |path: &str| {
        format!(
            "server: {{basePath: /_gw}}\nidentity: {{provider: dev}}\nroutes: [{{path: {path}, operationId: a, upstream: \
             {{url: \"https://a\", authMode: none}}}}]"
        )
    };
    for path in ["/oauth/token", "/auth/connections/x", "/_gw", "/_gw/mcp", "/_gw/oauth2", "/oauthx"] {
        load_valid(&route(path));
    }
    for path in ["/_gw/oauth", "/_gw/oauth/token", "/_gw/auth/connections", "/.well-known", "/_gw/.well-known/x"] {
        assert!(load_text(&route(path)).is_err(), "{path}");
    }
}

#[test]
fn the_upstream_id_and_names_are_derived() {
    for (operation_id, expected) in [
        ("linear-mcp-server", "linear"),
        ("linear-mcp", "linear"),
        ("linear", "linear"),
        ("mcp-server", "mcp-server"),
        ("-mcp", "-mcp"),
        ("a-mcp-mcp-server", "a-mcp"),
    ] {
        let text = with_upstream("").replace("operationId: a", &format!("operationId: {operation_id}"));
        assert_eq!(load_valid(&text).routes[0].upstream.id, expected);
    }
    let route = load_valid(&with_upstream("id: linear")).routes.remove(0);
    assert_eq!((route.summary.as_str(), route.upstream.display_name.as_str()), ("linear", "linear"));
    let route = load_valid(&with_upstream("displayName: Linear")).routes.remove(0);
    assert_eq!((route.summary.as_str(), route.upstream.display_name.as_str()), ("Linear", "Linear"));
}

#[test]
fn headers_may_embed_a_reference_and_are_sensitive() {
    let UpstreamAuth::Header(headers) =
        upstream("authMode: header\n      headers: {Authorization: \"Bearer $env(SECRET)\"}").auth
    else {
        panic!("not the mode header");
    };
    assert_eq!(headers[0].0, "authorization");
    assert_eq!(headers[0].1, "Bearer s3cr3t-v4lue");
    assert!(headers[0].1.is_sensitive());
}

#[test]
fn http_versions_are_numbers_or_words() {
    for (value, expected) in [
        ("1", HttpVersion::Http1),
        ("\"1\"", HttpVersion::Http1),
        ("2", HttpVersion::Http2),
        ("\"2\"", HttpVersion::Http2),
        ("auto", HttpVersion::Auto),
    ] {
        assert_eq!(upstream(&format!("http: {value}")).http, expected, "{value}");
    }
}

#[test]
fn client_registration_takes_the_method_that_fits() {
    let auth =
        |keys: &str| match oauth(&format!("clientRegistration: {{mode: manual, clientId: x{keys}}}")).registration {
            ClientRegistration::Manual { auth, .. } => auth,
            ClientRegistration::Auto | ClientRegistration::Dynamic => panic!("not manual"),
        };
    assert_eq!(auth(""), ClientAuth::None);
    assert_eq!(auth(", tokenEndpointAuthMethod: private_key_jwt"), ClientAuth::PrivateKeyJwt);
    assert!(matches!(auth(", clientSecret: $env(SECRET)"), ClientAuth::SecretBasic(_)));
    let post = auth(", clientSecret: $env(SECRET), tokenEndpointAuthMethod: client_secret_post");
    assert!(matches!(post, ClientAuth::SecretPost(_)));
}

#[test]
fn oauth_knobs_become_types() {
    let oauth =
        oauth("prompt: false\n      resource: \"https://a/mcp\"\n      scopes: [a, b]\n      scopeDelimiter: \",\"");
    assert_eq!(oauth.prompt, Prompt::Never);
    assert_eq!(oauth.resource, ResourceParameter::Uri("https://a/mcp".to_owned()));
    assert_eq!((oauth.scopes.len(), oauth.scope_delimiter.as_str()), (2, ","));
    let oauth = self::oauth("authorizationParameters: {audience: \"https://api\"}");
    assert_eq!(oauth.authorization_parameters["audience"], "https://api");
}

/// Contract section 7: omitted passes through, empty hides everything.
#[test]
fn omitted_and_empty_capabilities_differ() {
    let capabilities = |keys: &str| {
        let text = with_upstream("").replace("    upstream:", &format!("    capabilities: {{{keys}}}\n    upstream:"));
        load_valid(&text).routes.remove(0).capabilities
    };
    assert_eq!(capabilities("tools: []").tools, Some(Vec::new()));
    assert_eq!(capabilities("tools: []").prompts, None);
    assert!(capabilities("tools: []").given && capabilities("methods: [a/b]").given && !capabilities("").given);
    let controlled = capabilities("accessControl: {mode: rolesAndGroups}, tools: [{name: a, roles: [r], groups: [g]}]");
    let tool = &controlled.tools.as_ref().unwrap()[0];
    assert_eq!((&*tool.roles, &*tool.groups), (&["r".to_owned()][..], &["g".to_owned()][..]));
    assert_eq!(controlled.access_control.unwrap().role_claim, "roles");
    let resources =
        capabilities("resources: [\"a:b\", {uri: \"a:c\", name: C, mimeType: text/plain, _meta: {x: [1, null]}}]");
    let resources = resources.resources.unwrap();
    assert_eq!(resources[0].key, "a:b");
    assert_eq!(resources[1].name.as_deref(), Some("C"));
    assert_eq!(serde_json::to_value(&resources[1].meta).unwrap(), serde_json::json!({"x": [1, null]}));
}

#[test]
fn keys_are_accepted_in_both_base64_alphabets() {
    let config =
        load_valid(&with_sections("encryption: {keys: [{id: k2, key: $env(URL_SAFE_KEY)}, {id: k1, key: $env(KEY)}]}"));
    assert_eq!(config.encryption_keys[1].bytes[..3], [0, 1, 2]);
    assert_eq!(config.encryption_keys[0].id, "k2");
}

#[test]
fn literal_secrets_are_warnings() {
    for (text, path) in [
        (
            with_sections("store: {url: \"postgres://ada:pw@db/a\"}\nencryption: {keys: [{id: k, key: $env(KEY)}]}"),
            "store.url",
        ),
        (
            with_identity("provider: oidc, issuer: \"https://a\", clientId: x, clientSecret: pw"),
            "identity.clientSecret",
        ),
        (with_upstream("authMode: header\n      headers: {X-Key: pw}"), "routes[0].upstream.headers.X-Key"),
        (
            with_upstream("clientRegistration: {mode: manual, clientId: x, clientSecret: pw}"),
            "routes[0].upstream.clientRegistration.clientSecret",
        ),
    ] {
        let warnings = load_valid(&text).warnings;
        assert_eq!(warnings.len(), 1, "{warnings:?}");
        assert_eq!(warnings[0].place.path, path);
        assert!(warnings[0].to_string().contains("use $env(NAME) or $file(path)"));
    }
    for text in [
        with_sections("store: {url: \"postgres://ada@db/a\"}\nencryption: {keys: [{id: k, key: $env(KEY)}]}"),
        with_sections(
            "store: {url: \"postgres://ada:$env(SECRET)@db/a\"}\nencryption: {keys: [{id: k, key: $env(KEY)}]}",
        ),
    ] {
        assert_eq!(load_valid(&text).warnings, []);
    }
}

#[test]
fn no_secret_is_in_the_debug_output_or_the_description() {
    let text = "store: {url: \"postgres://ada:$env(SECRET)@db/a\"}\nencryption: {keys: [{id: k, key: $env(KEY)}]}\nidentity: \
         {provider: oidc, issuer: \"https://a\", clientId: x, clientSecret: $env(SECRET)}\nroutes: [{path: /a, operationId: a, \
         upstream: {url: \"https://a\", authMode: header, headers: {X-Key: $env(SECRET)}}}, {path: /b, operationId: b, \
         upstream: {url: \"https://b\", clientRegistration: {mode: manual, clientId: x, clientSecret: $env(SECRET)}}}]";
    let config = load_valid(text);
    let printed = format!("{config:?} {}", describe(&config));
    assert!(!printed.contains("s3cr3t-v4lue"), "{printed}");
    assert!(!printed.contains("[0, 1, 2"), "{printed}");
}

#[test]
fn file_references_start_from_the_directory_of_the_configuration() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("secret"), "from-file\n").unwrap();
    let path = directory.path().join("sallyport.yaml");
    let text = with_identity("provider: oidc, issuer: \"https://a\", clientId: x, clientSecret: $file(secret)");
    std::fs::write(&path, text).unwrap();
    let config = crate::config::load(crate::config::Source::Path(path), &|_| None).unwrap();
    let Identity::Oidc(oidc) = config.identity else { panic!("not oidc") };
    assert_eq!(oidc.client_secret.unwrap().expose(), "from-file");
}

#[test]
fn json_is_accepted() {
    let text = "{\n\t\"identity\": {\"provider\": \"dev\"},\n\t\"routes\": [{\"path\": \"\\/mcp\", \"operationId\": \"a\", \
                \"summary\": \"\\u00e9\", \"upstream\": {\"url\": \"https:\\/\\/a\", \"authMode\": \"none\"}}]\n}\n";
    let config = load_valid(text);
    assert_eq!((config.routes[0].path.as_str(), config.routes[0].summary.as_str()), ("/mcp", "é"));
}

#[test]
fn anchors_and_merge_keys_work_and_problems_in_them_have_a_place() {
    let text = "identity: {provider: dev}\nroutes:\n  - {path: /a, operationId: a, upstream: &u {url: \"https://a\", authMode: \
                none}}\n  - {path: /b, operationId: b, upstream: {<<: *u, url: \"https://b\"}}\n";
    let config = load_valid(text);
    assert_eq!(config.routes[1].upstream.url.as_str(), "https://b/");
    assert_eq!(config.routes[1].upstream.auth.mode(), AuthMode::None);
}

#[test]
fn the_description_says_what_to_register_where() {
    let text = "server: {publicOrigin: \"https://gateway.example.com\", basePath: /_gw}\nidentity: {provider: okta, oktaDomain: \
                acme.okta.com, clientId: x, clientSecret: $env(SECRET)}\nroutes:\n  - {path: /mcp/linear, operationId: \
                linear-mcp-server, summary: Linear, upstream: {url: \"https://mcp.linear.app/mcp\"}}\n";
    let text = describe(&load_valid(text));
    for line in [
        "Configuration   test.yaml",
        "  origin, issuer  https://gateway.example.com",
        "Identity provider: okta",
        "  issuer          https://acme.okta.com",
        "    https://gateway.example.com/_gw/oauth/callback",
        "Route linear-mcp-server: Linear",
        "  MCP URL         https://gateway.example.com/mcp/linear",
        "  metadata        https://gateway.example.com/.well-known/oauth-protected-resource/mcp/linear",
        "  upstream        https://mcp.linear.app/mcp (linear, authMode user-oauth)",
        "    https://gateway.example.com/_gw/auth/connections/linear/callback",
    ] {
        assert!(text.lines().any(|is| is == line), "{line}\n---\n{text}");
    }
}
