//! Every way to get the file wrong, with the place and the words of the message.

use super::{load_text, load_valid, with_identity, with_sections, with_upstream};

/// Asserts that every text is refused with exactly one problem, at the place, whose line holds the words.
#[track_caller]
fn assert_refused<'a>(rows: impl IntoIterator<Item = (String, &'a str, &'a str)>) {
    let mut failures = Vec::new();
    for (text, place, words) in rows {
        let message = load_text(&text).map_or_else(|error| error.to_string(), |_| "accepted".to_owned());
        let fits = message.lines().count() == 1
            && message.starts_with(&format!("test.yaml:{place}: "))
            && message.contains(words);
        if !fits {
            failures.push(format!("--- expected at {place}: {words}\n{text}\n{message}\n"));
        }
    }
    assert!(failures.is_empty(), "{}", failures.concat());
}

#[test]
fn bad_sections_are_refused() {
    let rows = [
        // gateway.idJagIssuers
        (
            "gateway: {idJagIssuers: [{}]}",
            "1:26",
            "gateway.idJagIssuers[0].issuer: missing: the issuer of the identity",
        ),
        ("gateway: {idJagIssuers: [{issuer: login.example.com}]}", "1:35", "expected the issuer's URL"),
        (
            "gateway: {idJagIssuers: [{issuer: \"https://a\", jwksUrl: /jwks}]}",
            "1:57",
            "jwksUrl: \"/jwks\" does not fit",
        ),
        (
            "gateway: {idJagIssuers: [{issuer: \"https://a\"}, {issuer: \"https://a\"}]}",
            "1:58",
            "already used by `gateway.idJagIssuers[0].issuer`",
        ),
        // Structure.
        ("sever: {}", "1:1", "sever: unknown key; did you mean `server`?"),
        ("server: {listn: []}", "1:10", "server.listn: unknown key; did you mean `listen`?"),
        ("server: {xyz: 1}", "1:10", "unknown key; allowed: listen, adminListen"),
        ("server: 5", "1:9", "server: expected a mapping, found a number"),
        ("server: []", "1:9", "server: expected a mapping, found a list"),
        ("log: {level: info, level: warn}", "1:20", "log.level: this key was already set on line 1"),
        ("admins: []\nadmins: []", "2:1", "admins: this key was already set on line 1"),
        // server
        ("server: {listen: \"127.0.0.1:80\"}", "1:18", "expected a list, found text; write it as [..]"),
        ("server: {listen: }", "1:16", "server.listen: expected a list, found nothing"),
        ("server: {listen: []}", "1:18", "server.listen: a list does not fit: expected at least one address"),
        ("server: {listen: [\"localhost:80\"]}", "1:19", "server.listen[0].address: \"localhost:80\" does not fit"),
        ("server: {listen: [\"127.0.0.1\"]}", "1:19", "an IP address and a port"),
        ("server: {listen: [8080]}", "1:19", "server.listen[0]: expected text or a mapping, found a number"),
        ("server: {listen: [{adress: \"127.0.0.1:1\"}]}", "1:20", "did you mean `address`?"),
        ("server: {listen: [\"127.0.0.1:1\", \"127.0.0.1:1\"]}", "1:34", "already used by `server.listen[0].address`"),
        ("server: {listen: [{address: \"127.0.0.1:1\", tls: }]}", "1:47", "tls: missing: the paths `cert` and `key`"),
        ("server: {listen: [{address: \"127.0.0.1:1\", tls: {cert: a.pem}}]}", "1:49", "tls.key: missing"),
        ("server: {adminListen: \"127.0.0.1:8080\"}", "1:23", "another address than the public listeners"),
        ("server: {adminListen: 9464}", "1:23", "expected text, found a number; put it in quotes"),
        ("server: {basePath: _gw}", "1:20", "server.basePath: \"_gw\" does not fit: expected an absolute path"),
        ("server: {basePath: \"/a/../b\"}", "1:20", "an absolute path"),
        ("server: {basePath: /.well-known/x}", "1:20", "would hide the gateway's own endpoints"),
        ("server: {publicOrigin: \"https://a.example/path\"}", "1:24", "an origin such as https://gateway.example.com"),
        ("server: {publicOrigin: gateway.example.com}", "1:24", "server.publicOrigin"),
        ("server: {publicOrigin: \"ftp://a.example\"}", "1:24", "an origin such as"),
        ("server: {publicOrigin: []}", "1:24", "at least one origin"),
        (
            "server: {publicOrigin: [\"https://a\", \"https://A:443\"]}",
            "1:38",
            "already used by `server.publicOrigin[0]`",
        ),
        ("server: {allowedOrigins: [app.example.com]}", "1:27", "allowedOrigins[0]: \"app.example.com\" does not fit"),
        ("server: {trustedProxies: [10.0.0.0/33]}", "1:27", "a network such as 10.0.0.0/8"),
        ("server: {trustedProxies: ~}", "1:26", "found nothing; write [] for an empty list"),
        ("server: {threads: 0}", "1:19", "server.threads: 0 is out of range: expected 1 to 1024"),
        ("server: {threads: two}", "1:19", "expected a whole number, found text"),
        ("server: {threads: 1.5}", "1:19", "expected a whole number, found a fractional or huge number"),
        ("server: {gracePeriodSeconds: -1}", "1:30", "-1 is out of range: expected 0 to 86400"),
        (
            "server: {gracePeriodSeconds: 99999999999999999999}",
            "1:30",
            "expected a whole number, found a fractional or huge number",
        ),
        ("server: {limits: {streams: 0}}", "1:28", "server.limits.streams: 0 is out of range: expected 1 to 1000000"),
        ("server: {limits: {connections: -1}}", "1:32", "-1 is out of range"),
        ("server: {limits: {connectionsPerAddress: many}}", "1:42", "expected a whole number, found text"),
        ("server: {limits: {callsPerRoute: 1000001}}", "1:34", "1000001 is out of range"),
        ("server: {limits: {requestsPerUser: 0}}", "1:36", "0 is out of range"),
        ("server: {pidFile: \"\"}", "1:19", "a line of text that is not empty"),
        // store, encryption, outbound
        (
            "store: {url: \"mysql://host/db\"}",
            "1:14",
            "store.url: the value does not fit: expected sqlite:PATH or postgres",
        ),
        ("store: {url: \"sqlite:\"}", "1:14", "the path of a database file"),
        ("store: {url: \"sqlite::memory:\"}", "1:14", "the path of a database file"),
        ("store: {url: \"postgres://db.example.com/a\"}", "1:1", "encryption.keys: missing: at least one key"),
        ("encryption: {keys: [{id: k1}]}", "1:21", "encryption.keys[0].key: missing: a reference to 32 bytes"),
        ("encryption: {keys: [{id: k1, key: $env(SECRET)}]}", "1:35", "32 bytes in base64"),
        ("encryption: {keys: [{id: \"\", key: $env(KEY)}]}", "1:26", "an id of letters"),
        (
            "encryption: {keys: [{id: k1, key: $env(KEY)}, {id: k1, key: $env(KEY)}]}",
            "1:52",
            "\"k1\" is already used by `encryption.keys[0].id` on line 1",
        ),
        ("encryption: {keys: [{id: k1, key: $env(NO_SUCH_KEY)}]}", "1:35", "variable `NO_SUCH_KEY` is not set"),
        ("encryption: {keys: [{id: k1, key: $file(/no/such/key)}]}", "1:35", "`/no/such/key` cannot be read"),
        ("outbound: {allowPrivateNetworks: [intranet]}", "1:35", "a network such as"),
        ("outbound: {caFile: [a.pem]}", "1:20", "expected text, found a list"),
        ("admins: [\"\"]", "1:10", "admins[0]: \"\" does not fit"),
        // browserLogin, gateway, log, telemetry
        ("browserLogin: {sessionTtlSeconds: 1}", "1:35", "1 is out of range: expected 60 to"),
        ("browserLogin: {stateTtlSeconds: yes}", "1:33", "expected a whole number, found text"),
        ("gateway: {accessTokenTtlSeconds: 0}", "1:34", "gateway.accessTokenTtlSeconds: 0 is out of range"),
        ("gateway: {refreshTokenTtlSeconds: 899}", "1:35", "at least accessTokenTtlSeconds"),
        ("gateway: {refreshGraceSeconds: 3601}", "1:32", "expected 0 to 3600"),
        ("rateLimits: {token: -1}", "1:21", "expected 0 to 60000"),
        ("rateLimits: {registration: 60001}", "1:28", "expected 0 to 60000"),
        ("rateLimits: {tokens: 1}", "1:14", "token"),
        ("gateway: {cimdEnabled: yes}", "1:24", "expected true or false, found text"),
        ("gateway: {acessTokenTtlSeconds: 1}", "1:11", "did you mean `accessTokenTtlSeconds`?"),
        ("log: {format: jsn}", "1:15", "\"jsn\" is not allowed here; did you mean `json`? allowed: auto, json, pretty"),
        ("log: {level: verbose}", "1:14", "allowed: error, warn, info, debug, trace"),
        ("log: {level: 3}", "1:14", "expected text, found a number"),
        ("telemetry: {otlpEndpoint: collector}", "1:27", "a URL such as"),
        ("telemetry: {tracePercent: 101}", "1:27", "expected 0 to 100"),
        ("telemetry: {eventsFileMegabytes: 0}", "1:34", "expected 1 to 10000"),
        ("telemetry: {eventsFileCount: 0}", "1:30", "expected 1 to 1000"),
        ("telemetry: {otlpHeaders: {Host: x}, otlpEndpoint: \"http://a\"}", "1:33", "a header that neither HTTP"),
        ("telemetry: {otlpHeaders: {X-Key: x}}", "1:26", "otlpEndpoint"),
        ("telemetry: {otlpEndpoint: \"$env(\"}", "1:27", "the reference is not complete"),
    ];
    assert_refused(rows.map(|(sections, place, words)| (with_sections(sections), place, words)));
}

#[test]
fn bad_routes_are_refused() {
    let rows = [
        ("path: mcp", "3:11", "routes[0].path: \"mcp\" does not fit: expected an absolute path"),
        ("path: /", "3:11", "a path of at least one segment"),
        ("path: /mcp/../x", "3:11", "an absolute path"),
        ("path: /mcp%2Fx", "3:11", "without `.`, `..`, empty segments, %-encoding"),
        ("path: \"/mcp?x=1\"", "3:11", "an absolute path"),
        ("path: /oauth", "3:11", "would hide the gateway's own endpoints below `/oauth`"),
        ("path: /oauth/token", "3:11", "choose another path"),
        ("path: /mcp-registry/v0.1", "3:11", "would hide the gateway's own endpoints below `/mcp-registry`"),
        ("path: /auth/connections/x", "3:11", "below `/auth/connections`"),
        ("path: /.well-known/x", "3:11", "below `/.well-known`"),
        ("path: /mcp/.well-known/x", "3:11", "below `/.well-known`"),
        ("path: /a\n    path: /b", "4:5", "routes[0].path: this key was already set on line 3"),
    ];
    let text = |keys: &str| {
        format!(
            "identity: {{provider: dev}}\nroutes:\n  - {keys}\n    operationId: a\n    upstream: {{url: \"https://a/mcp\", \
             authMode: none}}\n"
        )
    };
    assert_refused(rows.map(|(keys, place, words)| (text(keys), place, words)));
}

#[test]
fn bad_lists_of_routes_are_refused() {
    let route = |path: &str, id: &str, more: &str| {
        format!("  - {{path: {path}, operationId: {id}, upstream: {{url: \"https://a/mcp\", authMode: none{more}}}}}\n")
    };
    let two = |first: String, second: String| format!("identity: {{provider: dev}}\nroutes:\n{first}{second}");
    let first = route("/a", "a", "");
    assert_refused([
        (two(first.clone(), route("/a/", "b", "")), "4:12", "\"/a/\" is already used by `routes[0].path` on line 3"),
        (two(first.clone(), route("/b", "a", ", id: b")), "4:29", "already used by `routes[0].operationId`"),
        (two(first.clone(), route("/b", "b", ", id: a")), "4:85", "the upstream id `a` is already used"),
        (two(first.clone(), route("/b", "a-mcp", "")), "4:29", "the upstream id `a` is already used"),
        (two(first.clone(), route("/b", "\"b c\"", "")), "4:29", "an id of letters, digits"),
        (two(first.clone(), "  - 5\n".to_owned()), "4:5", "routes[1]: expected a mapping, found a number"),
        (
            two(first, "  - {path: /b, upstream: {url: \"https://a\", id: b}}\n".to_owned()),
            "4:5",
            "operationId: missing",
        ),
        ("identity: {provider: dev}\n".to_owned(), "1:1", "routes: missing: at least one route"),
        (
            "identity: {provider: dev}\nroutes: []\n".to_owned(),
            "2:9",
            "routes: a list does not fit: expected at least one",
        ),
        ("identity: {provider: dev}\nroutes: {}\n".to_owned(), "2:9", "routes: expected a list, found a mapping"),
        (
            "identity: {provider: oidc, issuer: \"https://a\", clientId: x, scope: openid offline_access}\nroutes:\n  - \
             {path: /a, operationId: a, upstream: {url: \"https://a\", authMode: id-jag}}\n"
                .to_owned(),
            "3:42",
            "mode `manual` with a client id: for id-jag the identity provider must know",
        ),
    ]);
}

#[test]
fn bad_upstreams_are_refused() {
    let rows = [
        ("authmode: none", "7:7", "routes[0].upstream.authmode: unknown key; did you mean `authMode`?"),
        ("authMode: user_oauth", "7:17", "did you mean `user-oauth`?"),
        (
            "authMode: id-jag\n      clientRegistration: {mode: manual, clientId: x}",
            "7:17",
            "id-jag with provider `dev` does not fit: expected an identity provider that gives out",
        ),
        ("authMode: oauth", "7:17", "allowed: user-oauth, shared-oauth, user-key, id-jag, header, none"),
        ("id: \"a/b\"", "7:11", "an id of letters, digits and ._-"),
        ("id: \"..\"", "7:11", "an id of letters"),
        ("displayName: 7", "7:20", "put it in quotes"),
        ("authMode: header", "6:7", "routes[0].upstream.headers: missing: the headers to send"),
        ("authMode: header\n      headers: {}", "8:16", "headers: missing: the headers to send"),
        ("authMode: header\n      headers: {X-Key: }", "8:22", "headers.X-Key: missing: the header's value"),
        ("authMode: header\n      headers: {X-Key: $env(EMPTY)}", "8:24", "a value that is not empty"),
        ("authMode: header\n      headers: {X-Key: $env(BROKEN_LINE)}", "8:24", "without line breaks"),
        ("authMode: header\n      headers: {X-Key: [a]}", "8:24", "headers.X-Key: expected text, found a list"),
        ("authMode: header\n      headers: {\"X Key\": $env(SECRET)}", "8:26", "a header name of RFC 9110"),
        ("authMode: header\n      headers: {Host: $env(SECRET)}", "8:23", "neither HTTP nor MCP sets itself"),
        ("authMode: header\n      headers: {content-length: $env(SECRET)}", "8:33", "Content-Length or Mcp-*"),
        ("authMode: header\n      headers: {Transfer-Encoding: $env(SECRET)}", "8:36", "hop-by-hop"),
        ("authMode: header\n      headers: {Mcp-Session-Id: $env(SECRET)}", "8:33", "Mcp-*"),
        (
            "authMode: header\n      headers: {X-Key: $env(SECRET), x-key: $env(SECRET)}",
            "8:45",
            "the header `x-key` is already used by `routes[0].upstream.headers.X-Key`",
        ),
        ("headers: {X-Key: $env(SECRET)}", "7:16", "belongs to authMode `header`, not to authMode `user-oauth`"),
        ("scopes: read", "7:15", "expected a list, found text"),
        ("scopes: [\"a b\"]", "7:16", "a scope without spaces"),
        ("scopeDelimiter: ab", "7:23", "a space, a comma"),
        ("prompt: concent", "7:15", "did you mean `consent`?"),
        ("prompt: true", "7:15", "true is not allowed here"),
        ("prompt: [login]", "7:15", "expected a single word or number, found a list"),
        ("authorizationParameters: [audience]", "7:32", "expected a mapping, found a list"),
        ("authorizationParameters: {audience: }", "7:41", "audience: missing: the parameter's value"),
        ("authorizationParameters: {audience: 7}", "7:43", "put it in quotes"),
        ("authorizationParameters: {state: x}", "7:40", "a parameter that the gateway does not set itself"),
        ("authorizationParameters: {\"a b\": x}", "7:40", "a name of letters, digits"),
        ("resource: mcp", "7:17", "send, omit, or an absolute URI"),
        ("protectedResourceMetadataUrl: /x", "7:37", "a URL such as"),
        ("clientRegistration: {mode: manuel}", "7:34", "did you mean `manual`?"),
        ("clientRegistration: {mode: manual}", "7:27", "clientRegistration.clientId: missing"),
        ("clientRegistration: {clientId: x}", "7:38", "belongs to mode `manual`, not to mode `auto`"),
        ("clientRegistration: {mode: dynamic, clientId: x}", "7:53", "belongs to mode `manual`, not to mode `dynamic`"),
        ("clientRegistration: {issuer: \"https://a.example\"}", "7:36", "belongs to mode `manual`, not to mode `auto`"),
        ("clientRegistration: {mode: manual, clientId: x, issuer: a.example}", "7:63", "clientRegistration.issuer"),
        ("userKey: {header: X-Key}", "7:25", "belongs to authMode `user-key`, not to authMode `user-oauth`"),
        ("authMode: user-key\n      userKey: {header: Host}", "8:25", "a header that neither HTTP nor MCP sets"),
        ("authMode: user-key\n      userKey: {header: \"a b\"}", "8:25", "the name of a header"),
        ("authMode: user-key\n      userKey: {scheme: \"a b\"}", "8:25", "a word such as Bearer"),
        ("assumePkce: maybe", "7:19", "assumePkce: expected true or false"),
        (
            "clientRegistration: {mode: manual, clientId: x, tokenEndpointAuthMethod: client_secret_post}",
            "7:27",
            "clientSecret: missing",
        ),
        (
            "clientRegistration: {mode: manual, clientId: x, clientSecret: $env(SECRET), tokenEndpointAuthMethod: none}",
            "7:69",
            "belongs to client_secret_*",
        ),
        ("tls: {clientCert: a.pem}", "7:12", "tls.clientKey: missing: the private key"),
        ("tls: {clientKey: a.pem}", "7:12", "tls.clientCert: missing: the certificate"),
        ("tls: yes", "7:12", "expected a mapping, found text"),
        ("http: 3", "7:13", "3 is not allowed here; allowed: auto, 1, 2"),
        ("http: h2", "7:13", "\"h2\" is not allowed here"),
        ("connectTimeoutMs: 0", "7:25", "0 is out of range"),
        ("responseTimeoutMs: 5s", "7:26", "expected a whole number, found text"),
        ("forwardSearch: \"true\"", "7:22", "expected true or false, found text"),
    ];
    assert_refused(rows.map(|(keys, place, words)| (with_upstream(keys), place, words)));
}

#[test]
fn bad_upstream_urls_are_refused() {
    let rows = [
        ("mcp.example.com", "a URL such as https://mcp.example.com/mcp"),
        ("\"ftp://mcp.example.com\"", "a URL such as"),
        ("\"https://a/#x\"", "without user, password or fragment"),
        ("$env(NO_SUCH_URL)", "variable `NO_SUCH_URL` is not set"),
        ("$env(SECRET)", "the value of $env(SECRET) does not fit"),
    ];
    let text = |url: &str| {
        let route = format!("{{path: /mcp, operationId: a, upstream: {{authMode: none, url: {url}}}}}");
        format!("identity: {{provider: dev}}\nroutes: [{route}]")
    };
    assert_refused(rows.map(|(url, words)| (text(url), "2:71", words)));
}

#[test]
fn bad_capabilities_are_refused() {
    let rows = [
        ("tools: ", "6:12", "capabilities.tools: expected a list, found nothing"),
        ("tools: {echo: }", "6:14", "expected a list, found a mapping"),
        ("tools: [\"\"]", "6:15", "tools[0].name: \"\" does not fit"),
        ("tools: [echo, echo]", "6:21", "\"echo\" is already used by `routes[0].capabilities.tools[0].name`"),
        ("tools: [{description: x}]", "6:15", "tools[0].name: missing"),
        ("tools: [{name: echo, inputSchema: {}}]", "6:28", "inputSchema: unknown key; allowed: name, description"),
        ("prompts: [{name: a, annotations: []}]", "6:40", "annotations: expected a mapping, found a list"),
        ("resources: [{name: a}]", "6:19", "resources[0].uri: missing"),
        ("resourceTemplates: [{uri: a, uriTemplate: b}]", "6:28", "uri: unknown key"),
        ("accessControl: {}", "6:22", "accessControl.mode: missing: `mode: rolesAndGroups`"),
        ("accessControl: {mode: roles}", "6:29", "\"roles\" is not allowed here; allowed: rolesAndGroups"),
        ("tools: [{name: a, roles: [x]}]", "6:32", "`capabilities.accessControl` on the same route"),
        ("accessControl: {mode: rolesAndGroups}, tools: [{name: a, roles: x}]", "6:71", "roles: expected a list"),
        ("methods: [\"\"]", "6:17", "methods[0]: \"\" does not fit"),
        ("toolz: []", "6:7", "did you mean `tools`?"),
    ];
    let text = |keys: &str| {
        format!(
            "identity: {{provider: dev}}\nroutes:\n  - {{path: /mcp, operationId: a, upstream: {{url: \"https://a\"}},\n    \
             capabilities:\n    {{\n      {keys}}}}}\n"
        )
    };
    assert_refused(rows.map(|(keys, place, words)| (text(keys), place, words)));
}

#[test]
fn bad_tool_pinning_is_refused() {
    let text = |value: &str| {
        let upstream = "upstream: {url: \"https://a\"}";
        format!(
            "identity: {{provider: dev}}\nroutes:\n  - {{path: /mcp, operationId: a, {upstream}, toolPinning: {value}}}\n"
        )
    };
    assert_refused([
        (text("held"), "3:77", "toolPinning: \"held\" is not allowed here; did you mean `hold`?"),
        (text("[hold]"), "3:77", "toolPinning: expected text, found a list"),
        (text("true"), "3:77", "toolPinning: expected text, found true or false"),
    ]);
}

#[test]
fn bad_access_rules_are_refused() {
    let rows = [
        ("allow: ", "6:12", "access.allow: expected a list, found nothing"),
        ("allow: [groups]", "6:15", "allow[0]: expected a mapping"),
        ("allow: [{claim: groups}]", "6:15", "allow[0].anyOf: missing"),
        ("deny: [{anyOf: [a]}]", "6:14", "deny[0].claim: missing"),
        ("deny: [{claim: groups, anyOf: []}]", "6:37", "at least one value"),
        ("denied: []", "6:7", "access.denied: unknown key; allowed: allow, deny"),
    ];
    let text = |keys: &str| {
        format!(
            "identity: {{provider: dev}}\nroutes:\n  - {{path: /mcp, operationId: a, upstream: {{url: \"https://a\"}},\n    \
             access:\n    {{\n      {keys}}}}}\n"
        )
    };
    assert_refused(rows.map(|(keys, place, words)| (text(keys), place, words)));
}

#[test]
fn bad_identities_are_refused() {
    let secret = "clientId: x, clientSecret: $env(SECRET)";
    let rows = [
        (
            "provider: gogle".to_owned(),
            "1:22",
            "identity.provider: \"gogle\" is not allowed here; did you mean `google`?",
        ),
        ("provider: github".to_owned(), "1:22", "allowed: auth0, cognito"),
        ("clientId: x".to_owned(), "1:11", "identity.provider: missing: one of the identity providers"),
        (format!("provider: oidc, {secret}"), "1:11", "identity.issuer: missing"),
        (format!("provider: oidc, issuer: login.example.com, {secret}"), "1:36", "the issuer's URL"),
        (format!("provider: oidc, issuer: \"https://a/?x\", {secret}"), "1:36", "without query or fragment"),
        (format!("provider: oidc, issuer: \"https://a\", jwksUrl: x, {secret}"), "1:58", "identity.jwksUrl"),
        ("provider: oidc, issuer: \"https://a\"".to_owned(), "1:11", "identity.clientId: missing"),
        (
            "provider: oidc, issuer: \"https://a\", clientId: x, pkce: none".to_owned(),
            "1:11",
            "identity.clientSecret: missing: the client secret, since without one",
        ),
        (format!("provider: oidc, issuer: \"https://a\", pkce: s256, {secret}"), "1:55", "did you mean `S256`?"),
        (
            format!("provider: oidc, issuer: \"https://a\", scope: email, {secret}"),
            "1:56",
            "scopes that include openid",
        ),
        (
            format!("provider: oidc, issuer: \"https://a\", realm: x, {secret}"),
            "1:56",
            "provider `keycloak`, not to provider `oidc`",
        ),
        (format!("provider: oidc, issuer: \"https://a\", remoteTimeoutMs: 1, {secret}"), "1:66", "out of range"),
        ("provider: dev, users: []".to_owned(), "1:34", "at least one user"),
        ("provider: dev, users: [a, a]".to_owned(), "1:38", "\"a\" is already used by `identity.users[0]`"),
        ("provider: dev, users: [\"a b\"]".to_owned(), "1:35", "a user name of letters"),
        ("provider: dev, clientId: x".to_owned(), "1:37", "belongs to a real provider, not to provider `dev`"),
        ("provider: dev, allowRemote: true".to_owned(), "1:27", "identity.allowRemote: unknown key"),
    ];
    assert_refused(rows.map(|(identity, place, words)| (with_identity(&identity), place, words)));
}

/// `dev` signs anybody in, so nobody else may be able to connect.
#[test]
fn the_dev_provider_is_refused_on_listeners_that_others_can_reach() {
    assert_refused(["0.0.0.0:8080", "[::]:8080", "192.168.1.5:8080", "[::ffff:10.0.0.1]:80"].map(|listen| {
        let text = with_sections(&format!("server: {{listen: [\"127.0.0.1:1\", \"{listen}\"]}}"));
        (text, "2:22", "`dev` signs anybody in without a password")
    }));
    for listen in ["127.0.0.1:8080", "127.8.8.8:8080", "[::1]:8080", "[::ffff:127.0.0.1]:80"] {
        load_valid(&with_sections(&format!("server: {{listen: [\"{listen}\"]}}")));
    }
}

#[test]
fn two_places_for_one_setting_are_refused() {
    let text =
        format!("browserLogin: {{stateTtlSeconds: 60}}\n{}", with_identity("provider: dev, stateTtlSeconds: 60"));
    assert_refused([(text, "2:44", "cannot be set together with `browserLogin.stateTtlSeconds`")]);
}

#[test]
fn text_that_is_not_yaml_says_where() {
    for (text, place) in [("a: [1", "1"), ("a: b: c", "1"), ("a:\n\t- b", "2"), ("a: \"x", "1"), ("a: *b", "1")] {
        let message = load_text(text).expect_err(text).to_string();
        assert!(message.starts_with(&format!("test.yaml:{place}:")), "{text}\n{message}");
        assert!(message.contains("not valid YAML"), "{text}\n{message}");
    }
}

#[test]
fn all_problems_are_reported_at_once_in_the_order_of_the_file() {
    let text = "\
server:
  listen: [\"127.0.0.1\"]
  thread: 2
gateway: {cimdEnabled: 1}
identity: {provider: entra, tenantId: common, clientSecret: $env(NO_SUCH)}
routes:
  - path: mcp
    upstream: {url: \"https://a\", authmode: none}
  - {path: /b, operationId: b, upstream: {url: nowhere, authMode: nothing}}
";
    let message = load_text(text).expect_err("many problems").to_string();
    let places: Vec<&str> = message
        .lines()
        .map(|line| line.strip_prefix("test.yaml:").and_then(|line| line.split(": ").nth(1)).unwrap_or_default())
        .collect();
    assert_eq!(
        places,
        [
            "server.listen[0].address",
            "server.thread",
            "gateway.cimdEnabled",
            "identity.clientId",
            "identity.tenantId",
            "identity.clientSecret",
            "routes[0].operationId",
            "routes[0].path",
            "routes[0].upstream.authmode",
            "routes[1].upstream.url",
            "routes[1].upstream.authMode",
        ],
        "{message}"
    );
}

/// Contract section 8: no secret is ever printed. A broken file is the likeliest place for one to leak.
#[test]
fn messages_never_hold_a_secret() {
    for text in [
        with_identity("provider: oidc, issuer: \"https://ada:s3cr3t-v4lue@a\", clientId: x, clientSecret: $env(EMPTY)"),
        with_identity("provider: dev, issuer: $env(SECRET)"),
        with_identity("provider: $env(SECRET)"),
        with_identity("provider: oidc, issuer: 5, clientId: x, clientSecret: [s3cr3t-v4lue]"),
        with_sections("store: {url: \"mysql://ada:s3cr3t-v4lue@host/db\"}"),
        with_sections("encryption: {keys: [{id: k1, key: s3cr3t-v4lue}]}"),
        with_sections("server: {threads: $env(SECRET), pidFile: \"$env(EMPTY)\"}"),
        with_upstream("authMode: header\n      headers: {X-Key: $env(BROKEN_LINE)}"),
        with_upstream("authMode: header\n      headers: {Host: s3cr3t-v4lue}"),
        with_upstream("resource: $env(SECRET)"),
    ] {
        let error = load_text(&text).expect_err(&text);
        assert!(!format!("{error} {error:?}").contains("s3cr3t-v4lue"), "{error}");
    }
}
