//! Who may use a route, and what of it.

use sallyport::{
    mcp::filter::Kind,
    policy::{Access, AccessControl, Capabilities, Capability, Policy, Rule},
    resource_server::ClaimPath,
};
use serde_json::json;

use super::filter_requests::{item, post};
use crate::support::{TestEdge, Upstream};

fn rule(claim: &str, value: &str) -> Rule {
    Rule { claim: ClaimPath::new(claim), any_of: vec![value.to_owned()] }
}

#[tokio::test]
async fn a_route_is_only_for_whom_its_policy_admits() {
    let upstream = Upstream::json().await;
    let access = Access { allow: Some(vec![rule("groups", "staff")]), deny: vec![rule("groups", "suspended")] };
    let policy = Policy { access, ..Policy::default() };
    let edge = TestEdge::builder().route("a", &upstream.url()).policy("a", policy).start().await;
    for claims in [json!({}), json!({"groups": ["guests"]}), json!({"groups": ["staff", "suspended"]})] {
        edge.store.set_claims(&claims);
        let answer = edge.call(post("tools/list", &json!({}))).await;
        assert_eq!((answer.status(), &answer.json()["error"]), (403, &json!("access_denied")), "{claims}");
        assert_eq!(answer.get("www-authenticate"), None, "no other token would help");
    }
    assert_eq!(upstream.connections(), 0);
    edge.store.set_claims(&json!({"groups": ["staff"]}));
    assert_eq!(edge.call(post("tools/list", &json!({}))).await.status(), 200);
}

/// Contract section 7, access control; MCP 2026-07-28, caching.
#[tokio::test]
async fn what_a_caller_sees_follows_from_roles_and_groups() {
    let tools = r#"{"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"read"},{"name":"write"},{"name":"plain"}],"cacheScope":"public"}}"#;
    let upstream = Upstream::start(move |call| {
        Box::pin(async move {
            call.read_body().await;
            call.respond("200 OK", "Content-Type: application/json\r\n", tools.as_bytes()).await;
        })
    })
    .await;
    let control = AccessControl { role_claim: ClaimPath::new("realm.roles"), group_claim: ClaimPath::new("groups") };
    let mut capabilities = Capabilities::new(Some(control));
    let owned = |text: &str| vec![text.to_owned()];
    capabilities.show(
        Kind::Tool,
        [
            Capability { roles: owned("viewer"), groups: owned("ops"), ..item("read") },
            Capability { groups: owned("ops"), ..item("write") },
            item("plain"),
        ],
    );
    let policy = Policy { capabilities: Some(capabilities), ..Policy::default() };
    let edge = TestEdge::builder().route("a", &upstream.url()).policy("a", policy).start().await;
    for (claims, expected) in [
        (json!({"realm": {"roles": ["viewer"]}}), json!([{"name": "read"}])),
        (json!({"groups": "ops"}), json!([{"name": "read"}, {"name": "write"}])),
        (json!({"roles": ["ops"]}), json!([])),
    ] {
        edge.store.set_claims(&claims);
        let answer = edge.call(post("tools/list", &json!({}))).await.json();
        assert_eq!(
            (&answer["result"]["tools"], &answer["result"]["cacheScope"]),
            (&expected, &json!("private")),
            "{claims}"
        );
        for name in ["read", "write", "plain"] {
            let before = upstream.calls().len();
            edge.call(post("tools/call", &json!({"name": name}))).await;
            let passed = upstream.calls().len() > before;
            assert_eq!(passed, expected.as_array().unwrap().contains(&json!({"name": name})), "{claims} {name}");
        }
    }
}
