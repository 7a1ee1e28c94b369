//! The Dockerfile, the compose file and the Kubernetes example fit each other and the configuration that they come with.

use std::{collections::BTreeSet, fs, path::Path};

use serde_json::Value;

/// `server.gracePeriodSeconds` where nobody set it, and what an end may take beyond it.
const GRACE_SECONDS: i64 = 25 + 5;

fn read(name: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).expect(name)
}

fn yaml(text: &str) -> Value {
    serde_saphyr::from_str(text).expect("YAML")
}

/// The arguments of an instruction of the Dockerfile, each time that it is there.
fn instructions<'a>(dockerfile: &'a str, name: &str) -> Vec<Vec<&'a str>> {
    let lines = dockerfile.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    lines.map(|arguments| arguments.split_whitespace().collect()).collect()
}

/// The names in `$env(NAME)`, also of secrets that are a part of a value.
fn variables(config: &str) -> BTreeSet<&str> {
    config.split("$env(").skip(1).filter_map(|rest| rest.split(')').next()).collect()
}

fn keys(object: &Value) -> BTreeSet<&str> {
    object.as_object().expect("an object").keys().map(String::as_str).collect()
}

#[test]
fn the_image_is_built_from_what_the_context_has_and_with_the_least_rust_that_will_do() {
    let (dockerfile, ignored, manifest) = (read("Dockerfile"), read(".dockerignore"), read("Cargo.toml"));
    let sent: BTreeSet<_> = ignored.lines().filter_map(|line| line.strip_prefix('!')).collect();
    let copied = instructions(&dockerfile, "COPY");
    let copied: BTreeSet<_> = copied
        .iter()
        .filter(|arguments| !arguments[0].starts_with("--from"))
        .flat_map(|arguments| &arguments[..arguments.len() - 1])
        .copied()
        .collect();
    assert_eq!(copied, sent, "what COPY names is what .dockerignore lets through");
    let rust =
        manifest.lines().find_map(|line| line.strip_prefix("rust-version = ")).expect("a version").trim_matches('"');
    assert_eq!(instructions(&dockerfile, "FROM")[0][0], format!("rust:{rust}-slim-bookworm"));
    assert_eq!(instructions(&dockerfile, "USER"), [["65532:65532"]], "a number, so that runAsNonRoot can be checked");
    assert_eq!(instructions(&dockerfile, "EXPOSE"), [["8080", "9464"]]);
}

#[test]
fn the_compose_file_gives_its_configuration_what_it_asks_for() {
    let (compose, config) = (yaml(&read("docker-compose.yaml")), read("conf/examples/compose.yaml"));
    let gateway = &compose["services"]["gateway"];
    assert_eq!(keys(&gateway["environment"]), variables(&config));
    assert_eq!(gateway["volumes"][0], "./conf/examples/compose.yaml:/etc/sallyport/sallyport.yaml:ro");
    assert!(read("Dockerfile").contains("SALLYPORT_CONFIG=/etc/sallyport/sallyport.yaml"));
    assert_eq!(gateway["read_only"], true);
    let listens = yaml(&config)["server"]["listen"][0].as_str().expect("an address").to_owned();
    let published = gateway["ports"][0].as_str().expect("a port").to_owned();
    assert_eq!(listens.rsplit(':').next(), published.rsplit(':').next());
    let grace = gateway["stop_grace_period"].as_str().and_then(|text| text.strip_suffix('s')).expect("seconds");
    assert!(grace.parse::<i64>().expect("a number") > GRACE_SECONDS, "SIGKILL comes before the end");
    let database = keys(&gateway["depends_on"]).pop_first().expect("a database").to_owned();
    assert!(yaml(&config)["store"]["url"].as_str().expect("a URL").contains(&format!("@{database}/")));
    assert!(compose["services"][&database]["healthcheck"].is_object(), "it is waited for");
}

#[test]
fn the_kubernetes_example_asks_at_ports_that_are_there_and_waits_for_the_end() {
    let text = read("conf/kubernetes/sallyport.yaml");
    let documents: Vec<_> = text.split("\n---\n").map(yaml).collect();
    let [deployment, service, budget] = &documents[..] else { panic!("{} documents", documents.len()) };
    let pod = &deployment["spec"]["template"]["spec"];
    let container = &pod["containers"][0];
    let ports: BTreeSet<_> =
        container["ports"].as_array().expect("ports").iter().filter_map(|port| port["name"].as_str()).collect();
    for probe in ["startupProbe", "readinessProbe", "livenessProbe"] {
        let asked = &container[probe]["httpGet"];
        assert!(ports.contains(asked["port"].as_str().expect("a name")), "{probe}");
        assert_eq!(asked["path"], if probe == "readinessProbe" { "/readyz" } else { "/healthz" });
    }
    assert!(ports.contains(service["spec"]["ports"][0]["targetPort"].as_str().expect("a name")));
    let labels = &deployment["spec"]["template"]["metadata"]["labels"];
    for selector in [
        &deployment["spec"]["selector"]["matchLabels"],
        &service["spec"]["selector"],
        &budget["spec"]["selector"]["matchLabels"],
    ] {
        assert_eq!(selector, labels);
    }
    let waits = pod["terminationGracePeriodSeconds"].as_i64().expect("seconds");
    let sleeps = container["lifecycle"]["preStop"]["sleep"]["seconds"].as_i64().expect("seconds");
    assert!(waits > sleeps + GRACE_SECONDS, "SIGKILL comes before the end");
    assert_eq!(
        (&pod["securityContext"]["runAsUser"], &pod["securityContext"]["runAsNonRoot"]),
        (&65532.into(), &true.into())
    );
    assert_eq!(container["securityContext"]["readOnlyRootFilesystem"], true);
}
