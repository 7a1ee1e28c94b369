//! The Rust SDK (`rmcp`) with its own OAuth code: discovery, registration, PKCE, refresh ahead of time and on 401.
//!
//! With `--upstream`, the route's MCP server is behind OAuth of its own: the connection is taken away under a living
//! client, which must get the link, and go on by itself once the person has followed it.

mod application;
mod report;

use anyhow::{Context, Result, ensure};
use application::{Application, Connection};
use clap::Parser;
use report::Report;
use rmcp::model::ErrorCode;
use serde_json::{Value, json};
use std::{path::PathBuf, process::ExitCode, time::Duration};
use url::Url;

/// Who signs in where.
#[derive(Parser)]
struct Options {
    /// The route.
    #[arg(long)]
    url: Url,
    #[arg(long, default_value = "ada")]
    user: String,
    #[arg(long, default_value = "ada")]
    password: String,
    /// `form`: a sign-in form; `dev`: the gateway's development users.
    #[arg(long, default_value = "form")]
    idp: String,
    /// `legacy` (initialize), `auto` (probe, then fall back) or `modern` (revision 2026-07-28 and nothing else).
    #[arg(long, default_value = "legacy")]
    era: String,
    /// The protected MCP server behind the route, which takes commands.
    #[arg(long)]
    upstream: Option<Url>,
    /// Where to note what must not be in any log.
    #[arg(long)]
    secrets: Option<PathBuf>,
}

#[tokio::main]
async fn main() -> ExitCode {
    let options = Options::parse();
    let report = Report::new(options.secrets.clone());
    match tokio::time::timeout(Duration::from_secs(50), walk(&options, &report)).await {
        Ok(Ok(())) => ExitCode::SUCCESS,
        Ok(Err(error)) => report.failed(&format!("{error:#}")),
        Err(_) => report.failed("nothing happens any more"),
    }
}

async fn walk(options: &Options, report: &Report) -> Result<()> {
    let scratch = tempfile::tempdir()?;
    let jar = scratch.path().join("jar.json");

    report.step("discover_and_register");
    let mut application = Application::start(options, "rmcp one", jar.clone(), report).await?;
    report.done(json!({"clientId": application.client_id()?}));

    report.step("authorize");
    let visited = application.authorize().await?;
    ensure!(options.idp == "dev" || visited.contains("login"), "no sign-in form was shown");
    ensure!(visited.contains("consent"), "no consent page was shown");
    report.done(json!({"visited": visited.steps}));

    report.step("initialize");
    let connection = application.connect(&options.era).await?;
    report.done(json!({}));

    report.step("list_tools");
    let tools = connection.client.list_all_tools().await?;
    ensure!(tools.iter().any(|tool| tool.name == "echo"), "no echo among {} tools", tools.len());
    report.done(json!({"tools": tools.len()}));

    report.step("call_echo");
    connection.echo().await?;
    report.done(json!({}));

    report.step("refresh");
    connection.refresh_ahead().await?;
    connection.echo().await?;
    connection.refresh_on_401(report).await?;
    report.done(json!({}));

    if let Some(upstream) = &options.upstream {
        report.step("connect_required");
        connect_again(&connection, &application, upstream, report).await?;
        report.done(json!({}));
    }

    report.step("second_client");
    let mut second = Application::start(options, "rmcp two", jar, report).await?;
    ensure!(second.client_id()? != application.client_id()?, "both clients have one id");
    let visited = second.authorize().await?;
    ensure!(!visited.contains("login") && !visited.contains("dev-login"), "the browser session did not save a sign-in");
    ensure!(visited.contains("consent"), "the second client was let in without consent");
    let other = second.connect(&options.era).await?;
    other.echo().await?;
    report.done(json!({"visited": visited.steps}));

    report.step("revoke");
    other.revoke(&options.url).await?;
    ensure!(other.echo().await.is_err(), "a revoked grant still opens the route");
    connection.echo().await.context("the other client's grant is to live on")?;
    report.done(json!({}));

    report.step("terminate");
    connection.client.cancel().await?;
    report.done(json!({}));
    Ok(())
}

/// Revokes the connection at the upstream, expects the link, and follows it.
async fn connect_again(
    connection: &Connection,
    application: &Application<'_>,
    upstream: &Url,
    report: &Report,
) -> Result<()> {
    let shown = connection.call("whoami_headers", json!({})).await?;
    let headers: Vec<(String, String)> = serde_json::from_str(&shown)?;
    let (_, credential) = headers.iter().find(|(name, _)| name == "authorization").context("no credential upstream")?;
    let token = credential.strip_prefix("Bearer ").context("no bearer token upstream")?;
    let revoked = reqwest::Client::new().post(upstream.join("/test/revoke")?).body(token.to_owned()).send().await?;
    ensure!(revoked.status() == 200, "/test/revoke answered {}", revoked.status());

    let error = connection.refused("echo", json!({"message": "hello"})).await?;
    ensure!(error.code == ErrorCode(-32042), "a revoked connection gave {}: {}", error.code.0, error.message);
    let data: Value = error.data.context("no data in the error")?;
    let link = data["elicitations"][0]["url"].as_str().context("no URL to open")?;
    for (_, value) in Url::parse(link)?.query_pairs().filter(|(name, _)| name.to_lowercase().ends_with("ticket")) {
        report.secret(&value);
    }
    let visited = application.visit(link).await?;
    ensure!(visited.contains("connect"), "nobody was asked to connect");
    connection.echo().await.context("after the connection was made again")
}
