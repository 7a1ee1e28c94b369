//! Tools that two replicas see at once: one definition counts, and both come to say the same.

use std::time::{Duration, Instant};

use reqwest::header;
use serde_json::{Value, json};

use crate::{
    support::{Client, TestGateway},
    together::Replicas,
    tools::{admin, form, saying},
};

/// Two replicas before one upstream, and somebody who uses both.
struct Scene {
    upstream: TestGateway,
    replicas: Replicas,
    client: Client,
    access: String,
    database: tokio_postgres::Client,
}

impl Scene {
    async fn start() -> Self {
        let upstream = TestGateway::start().await;
        let ada = sallyport::store::SubjectId::derive("urn:sallyport:dev", "ada");
        let replicas = Replicas::start(json!({
            "admins": [ada.as_str()],
            "routes": [{"path": "/mcp/one", "operationId": "one", "toolPinning": "hold",
                "upstream": {"url": upstream.upstream.url("/one"), "authMode": "none"}}],
        }))
        .await;
        let client = Client::register(&replicas.first).await;
        let access = client.log_in("/mcp/one", "bob").await.access;
        let (database, connection) =
            tokio_postgres::connect(&replicas.database.url(), tokio_postgres::NoTls).await.unwrap();
        tokio::spawn(connection);
        Self { upstream, replicas, client, access, database }
    }

    async fn ask(&self, replica: usize, language: &str, method: &str, tool: &str) -> Value {
        let request = self.client.http.post(format!("http://{}/mcp/one", self.replicas.addresses[replica]));
        let body = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": {"name": tool}});
        let request = request
            .header(header::HOST, &self.client.origin[7..])
            .header(header::ACCEPT_LANGUAGE, language)
            .bearer_auth(&self.access);
        request.json(&body).send().await.unwrap().json().await.unwrap()
    }

    /// Whether a replica shows the definition in this language.
    async fn shows(&self, replica: usize, language: &str) -> bool {
        let answer = self.ask(replica, language, "tools/list", "").await;
        !answer["result"]["tools"].as_array().unwrap().is_empty()
    }

    async fn is_callable(&self, replica: usize, tool: &str) -> bool {
        self.ask(replica, "en", "tools/call", tool).await.get("result").is_some()
    }

    /// Waits until the tool can be called at both replicas, or at none.
    async fn until_callable(&self, tool: &str, callable: bool) -> Duration {
        let begun = Instant::now();
        for replica in 0..2 {
            while self.is_callable(replica, tool).await != callable {
                assert!(begun.elapsed() < SOON, "{tool} at {replica} does not become {callable}");
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
        begun.elapsed()
    }
}

fn list(tool: &str, description: &str) -> Value {
    json!({"tools": [{"name": tool, "description": description, "inputSchema": {"type": "object"}}]})
}

fn text(language: &str) -> String {
    format!("what it says in {language}")
}

/// Each replica shows what it saw until it hears of the other, which takes ten seconds at most.
#[tokio::test]
async fn replicas_that_meet_a_tool_first_with_different_definitions_agree_on_one() {
    let scene = Scene::start().await;
    let (mut ada, _) = admin(&scene.replicas.first, "ada").await;
    let mut won = [0, 0];
    for (tool, decision) in [("t0", "keep"), ("t1", "accept"), ("t2", "keep"), ("t3", "accept")] {
        for language in LANGUAGES {
            scene.upstream.upstream.answer_in(language, &list(tool, &text(language)));
        }
        let both = tokio::join!(scene.shows(0, LANGUAGES[0]), scene.shows(1, LANGUAGES[1]));
        let page = saying(&scene.replicas.first, &mut ada, tool).await;
        let hidden_after = scene.until_callable(tool, false).await;
        assert_eq!(page.forms().iter().filter(|form| form.contains(&("tool".to_owned(), tool.to_owned()))).count(), 2);

        let counts = async || -> String {
            let sql = "SELECT definition FROM tool_pins WHERE tool = $1";
            scene.database.query_one(sql, &[&tool]).await.unwrap().get(0)
        };
        let first = counts().await;
        let first = LANGUAGES.iter().position(|language| first.contains(&text(language))).expect("one of both");
        won[first] += 1;
        let done = ada.post("/admin/tools", &form(&page, decision), "same-origin").await;
        assert!(done.html.contains("Accepted") || done.html.contains("Kept the old one"), "{}", done.html);
        let shown_after = scene.until_callable(tool, true).await;
        let accepted = if decision == "keep" { first } else { 1 - first };
        assert!(counts().await.contains(&text(LANGUAGES[accepted])), "the decision is about what was shown");
        println!("{tool}: seen {both:?}, hidden after {hidden_after:?}, shown after {shown_after:?}");
        for replica in 0..2 {
            assert!(scene.shows(replica, LANGUAGES[accepted]).await, "{replica}");
        }
        for replica in 0..2 {
            assert!(!scene.shows(replica, LANGUAGES[1 - accepted]).await, "{replica}");
        }
        let page = saying(&scene.replicas.first, &mut ada, "Hidden until").await;
        ada.post("/admin/tools", &form(&page, "keep"), "same-origin").await;
    }
    println!("the first definition was that of {won:?}");
}

const LANGUAGES: [&str; 2] = ["de", "fr"];
const SOON: Duration = Duration::from_secs(20);
