//! What the gateway tells about itself, read by the parsers that others read it with.

use std::{
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

use reqwest::{StatusCode, header};
use serde_json::{Value, json};

use crate::support::{Browser, Client, TestGateway, choose_user};

const CALL: &str = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"get_weather","arguments":{}}}"#;

async fn call_a_tool(gateway: &TestGateway, access: &str, traceparent: Option<&str>) {
    let mut request = reqwest::Client::new()
        .post(gateway.url("/mcp/one"))
        .bearer_auth(access)
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::ACCEPT, "application/json, text/event-stream")
        .body(CALL);
    if let Some(traceparent) = traceparent {
        request = request.header("traceparent", traceparent);
    }
    assert_eq!(request.send().await.unwrap().status(), StatusCode::OK);
}

/// Waits, within reason, for what comes after the answer.
async fn until<T, F: Future<Output = Option<T>>>(mut found: impl FnMut() -> F) -> T {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        if let Some(found) = found().await {
            return found;
        }
        assert!(Instant::now() < deadline, "it does not come");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn python(mode: &str) -> Command {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let python = root.join("clients/.venv/main/bin/python");
    let mut command = Command::new(std::env::var_os("SALLYPORT_TEST_PYTHON").unwrap_or(python.into()));
    command.arg(root.join("support/telemetry.py")).arg(mode).stdin(Stdio::piped()).stdout(Stdio::piped());
    command
}

/// The exposition by Prometheus's own Python library.
fn parsed(text: &str) -> Vec<Value> {
    let mut process = python("metrics").spawn().expect("the Python of tests/clients/install.sh");
    process.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = process.wait_with_output().unwrap();
    assert!(output.status.success());
    serde_json::from_slice(&output.stdout).unwrap()
}

async fn metrics(gateway: &TestGateway) -> String {
    let response = reqwest::get(format!("{}/metrics", gateway.admin)).await.unwrap();
    assert_eq!(response.headers()[header::CONTENT_TYPE], "text/plain; version=0.0.4; charset=utf-8");
    response.text().await.unwrap()
}

fn find<'s>(samples: &'s [Value], name: &str, labels: &Value) -> Option<&'s Value> {
    let fits = |sample: &&Value| {
        let labels = labels.as_object().unwrap();
        sample["name"] == name && labels.iter().all(|(label, value)| sample["labels"][label] == *value)
    };
    samples.iter().find(fits)
}

#[tokio::test]
async fn metrics_are_read_by_a_real_parser_and_the_dashboard_asks_for_what_is_there() {
    let gateway = TestGateway::start().await;
    let client = Client::register(&gateway).await;
    let tokens = client.log_in("/mcp/one", "ada").await;
    call_a_tool(&gateway, &tokens.access, None).await;
    call_a_tool(&gateway, &tokens.access, None).await;
    assert_eq!(client.call("/mcp/one", "at_wrong").await.status(), StatusCode::UNAUTHORIZED);

    let count = "mcp_server_operation_duration_seconds_count";
    let call = json!({"route": "one", "mcp_method_name": "tools/call", "outcome": "success"});
    let samples = until(|| async {
        let samples = parsed(&metrics(&gateway).await);
        let denied =
            find(&samples, "sallyport_failures_total", &json!({"origin": "client", "reason": "invalid_token"}));
        let counted = find(&samples, count, &call).is_some_and(|sample| sample["value"] == 2.0);
        (counted && denied.is_some()).then_some(samples.clone())
    })
    .await;
    for (name, labels) in [
        (
            "http_server_request_duration_seconds_count",
            json!({"http_route": "/mcp/one", "http_request_method": "POST", "http_response_status_code": "200"}),
        ),
        (
            "http_server_request_duration_seconds_count",
            json!({"http_route": "/oauth/token", "http_response_status_code": "200"}),
        ),
        (
            "mcp_client_operation_duration_seconds_bucket",
            json!({"route": "one", "mcp_method_name": "tools/call", "le": "+Inf"}),
        ),
        ("sallyport_gateway_duration_seconds_sum", json!({"route": "one"})),
        ("sallyport_token_cache_requests_total", json!({"result": "hit"})),
        ("sallyport_telemetry_dropped_total", json!({"sink": "queue"})),
        ("sallyport_open_streams", json!({})),
        ("process_resident_memory_bytes", json!({})),
    ] {
        let sample = find(&samples, name, &labels).unwrap_or_else(|| panic!("{name} {labels}"));
        assert!(sample["value"].as_f64().is_some_and(|value| value >= 0.0), "{sample}");
    }
    for label in ["subject", "user", "client", "capability", "tool"] {
        assert!(samples.iter().all(|sample| sample["labels"].get(label).is_none()), "{label}");
    }
    dashboard_fits(&samples);
}

/// Every metric and every label that a query of the dashboard names is in the exposition.
fn dashboard_fits(samples: &[Value]) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("conf/grafana/sallyport.json");
    let dashboard: Value = serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
    let targets = dashboard["panels"].as_array().unwrap().iter().filter_map(|panel| panel["targets"].as_array());
    let queries: Vec<_> = targets.flatten().map(|target| target["expr"].as_str().unwrap()).collect();
    assert!(queries.len() > 10);
    // The pool is there with PostgreSQL only; its names are those of the code.
    let of_postgres =
        ["db_client_connection_count", "db_client_connection_max", "db_client_connection_pending_requests"];
    for query in queries {
        let words = query.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        let names: Vec<_> = words
            .filter(|word| {
                ["http_server", "mcp_", "sallyport_", "process_", "db_client"]
                    .iter()
                    .any(|start| word.starts_with(start))
                    && *word != "mcp_method_name"
            })
            .collect();
        assert!(!names.is_empty(), "{query}");
        for name in names {
            let of_name: Vec<_> = samples.iter().filter(|sample| sample["name"] == name).collect();
            assert!(!of_name.is_empty() || of_postgres.contains(&name), "{name} of {query}");
            let grouped = query.split("by (").nth(1).map_or("", |rest| rest.split(')').next().unwrap());
            for label in grouped.split(',').map(str::trim).filter(|label| !label.is_empty()) {
                let known = of_name.iter().any(|sample| sample["labels"].get(label).is_some());
                assert!(known || of_postgres.contains(&name), "{label} of {query}");
            }
        }
    }
}

/// A collector that really parses OTLP.
struct Collector {
    process: Child,
    port: u16,
    received: Arc<Mutex<Vec<Value>>>,
}

impl Collector {
    fn start() -> Self {
        let mut process = python("collector").spawn().expect("the Python of tests/clients/install.sh");
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines().map_while(Result::ok);
        let port = lines.next().unwrap().parse().unwrap();
        let received = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&received);
        thread::spawn(move || lines.for_each(|line| seen.lock().unwrap().push(serde_json::from_str(&line).unwrap())));
        Self { process, port, received }
    }

    async fn first(&self, fits: impl Fn(&Value) -> bool) -> Value {
        until(|| async { self.received.lock().unwrap().iter().find(|item| fits(item)).cloned() }).await
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

#[tokio::test]
async fn a_collector_reads_the_spans_of_a_call_within_the_callers_trace_and_the_events() {
    let collector = Collector::start();
    let directory = tempfile::tempdir().unwrap();
    let events = directory.path().join("events.jsonl");
    let gateway = TestGateway::with(json!({"telemetry": {
        "otlpEndpoint": format!("http://127.0.0.1:{}", collector.port), "otlpHeaders": {"X-Key": "let me in"},
        "eventsFile": events.display().to_string(),
    }}))
    .await;
    let tokens = Client::register(&gateway).await.log_in("/mcp/one", "ada").await;
    let (trace, caller) = ("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331");
    call_a_tool(&gateway, &tokens.access, Some(&format!("00-{trace}-{caller}-01"))).await;

    let of_kind =
        |kind: u64| move |item: &Value| item["signal"] == "span" && item["trace"] == trace && item["kind"] == kind;
    let (server, client) = (collector.first(of_kind(2)).await, collector.first(of_kind(3)).await);
    assert_eq!((&server["parent"], &server["name"]), (&json!(caller), &json!("tools/call get_weather")));
    assert_eq!(client["parent"], server["span"]);
    let attributes = &server["attributes"];
    assert_eq!(attributes["mcp.method.name"], "tools/call");
    assert_eq!(attributes["gen_ai.tool.name"], "get_weather");
    assert_eq!(attributes["http.route"], "/mcp/one");
    let (start, end) = (server["start"].as_u64().unwrap(), server["end"].as_u64().unwrap());
    assert!(start <= client["start"].as_u64().unwrap() && client["end"].as_u64().unwrap() <= end);
    let expected = format!("traceparent: 00-{trace}-{}-01", client["span"].as_str().unwrap());
    let seen = gateway.upstream.seen();
    assert!(seen.iter().any(|head| head.to_ascii_lowercase().contains(&expected)), "{expected} in {seen:?}");

    let completed = collector.first(|item| item["event"] == "mcp_capability_completed").await;
    assert_eq!(
        (&completed["trace"], &completed["attributes"]["capabilityName"]),
        (&json!(trace), &json!("get_weather"))
    );
    assert_eq!(completed["attributes"]["traceId"], trace);
    let invoked = collector.first(|item| item["event"] == "mcp_capability_invoked").await;
    assert!(invoked["time"].as_u64() <= completed["time"].as_u64());
    let wrong = collector.received.lock().unwrap().iter().any(|item| item["signal"] == "wrong");
    assert!(!wrong, "the collector was sent what it cannot read");

    let lines = until(|| async {
        let lines = std::fs::read_to_string(&events).unwrap();
        lines.contains("mcp_capability_completed").then_some(lines)
    })
    .await;
    for line in lines.lines() {
        let event: Value = serde_json::from_str(line).unwrap();
        assert!(event["event"].as_str().unwrap().starts_with("mcp_") && event["timestamp"].is_string(), "{line}");
    }
    assert!(!lines.contains(&tokens.access) && !lines.contains("rt_"), "a token in an event");
}

/// A trace that begins here, and one that the client began in another way, which is linked to (SEP-414).
#[tokio::test]
async fn a_trace_in_the_meta_of_a_streamed_request_is_linked_to() {
    let collector = Collector::start();
    let gateway = TestGateway::with(json!({"telemetry": {
        "otlpEndpoint": format!("http://127.0.0.1:{}/", collector.port), "otlpHeaders": {"X-Key": "let me in"},
    }}))
    .await;
    let tokens = Client::register(&gateway).await.log_in("/mcp/one", "ada").await;
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "linked",
        "_meta": {"traceparent": format!("00-{trace}-00f067aa0ba902b7-01")}}});
    let request = reqwest::Client::new().post(gateway.url("/mcp/one")).bearer_auth(&tokens.access).json(&body);
    assert_eq!(request.send().await.unwrap().status(), StatusCode::OK);
    let span = collector.first(|item| item["name"] == "tools/call linked" && item["kind"] == 2).await;
    assert_eq!((&span["links"], &span["parent"]), (&json!([trace]), &json!("")));
}

#[tokio::test]
async fn the_analytics_page_is_for_administrators_and_shows_what_happened() {
    let ada = sallyport::store::SubjectId::derive("urn:sallyport:dev", "ada");
    let mut gateway = TestGateway::with(json!({"admins": [ada.as_str()]})).await;
    let client = Client::register(&gateway).await;
    let tokens = client.log_in("/mcp/one", "bob").await;
    call_a_tool(&gateway, &tokens.access, None).await;
    assert_eq!(client.call("/mcp/one", "at_wrong").await.status(), StatusCode::UNAUTHORIZED);
    gateway.restart_with(json!({}));

    let mut browser = Browser::new(&gateway.origin);
    let chooser = browser.open(&gateway.url("/admin")).await;
    let refused = choose_user(&mut browser, chooser, "bob").await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    assert!(!refused.html.contains("get_weather"), "{}", refused.html);

    let mut browser = Browser::new(&gateway.origin);
    let chooser = browser.open(&gateway.url("/admin?range=24h")).await;
    let page = choose_user(&mut browser, chooser, "ada").await;
    assert_eq!(page.status, StatusCode::OK);
    for shown in ["get_weather", "tools/call", "invalid_token", "24 hours", "Test Client"] {
        assert!(page.html.contains(shown), "{shown} in {}", page.html);
    }
    let policy = page.headers["content-security-policy"].to_str().unwrap();
    assert!(policy.starts_with("default-src 'none'") && policy.contains("form-action 'none'"), "{policy}");

    let alone = browser.open(&gateway.url("/admin?range=24h&capability=get_weather")).await;
    assert!(alone.html.contains("Remove") && !alone.html.contains("invalid_token"), "{}", alone.html);
    let without = browser.open(&gateway.url("/admin?range=24h&none=capability")).await;
    assert!(without.html.contains("invalid_token") && !without.html.contains("get_weather"), "{}", without.html);
    for bad in ["?range=forever", "?range=1h&range=1h"] {
        assert_eq!(browser.open(&gateway.url(&format!("/admin{bad}"))).await.status, StatusCode::BAD_REQUEST, "{bad}");
    }
    let posted = reqwest::Client::new().post(gateway.url("/admin")).send().await.unwrap();
    assert_eq!(posted.status(), StatusCode::METHOD_NOT_ALLOWED);
}

#[tokio::test]
async fn a_good_token_is_told_of_when_it_is_met_and_not_again() {
    let (gateway, log) = TestGateway::with_log(json!({})).await;
    let client = Client::register(&gateway).await;
    let tokens = client.log_in("/mcp/one", "ada").await;
    for _ in 0..2 {
        assert_eq!(client.call("/mcp/one", &tokens.access).await.status(), 200);
    }
    assert_eq!(client.call("/mcp/two", &tokens.access).await.status(), 401);
    let last = client.http.get(gateway.url("/")).header("x-request-id", "the-last-request").send().await.unwrap();
    assert_eq!(last.status(), 200);
    log.about("the-last-request");
    let lines = log.all();
    let events = lines.iter().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let met: Vec<_> = events.filter(|line| line["event"] == "mcp_auth_downstream_token_validated").collect();
    assert_eq!(met.len(), 1, "{met:?}");
    assert_eq!((&met[0]["operationId"], &met[0]["upstreamServerId"]), (&json!("one"), &json!("one")));
    for field in ["requestId", "subjectId", "clientId"] {
        assert!(met[0][field].as_str().is_some_and(|value| !value.is_empty()), "{field}: {}", met[0]);
    }
}
