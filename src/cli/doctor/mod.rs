//! `sallyport doctor URL`: walks the whole way of a strict client through a running gateway, and tells how each step went.
//!
//! It registers a client, signs in, uses the MCP server, refreshes and revokes, and tries what must not work. It never
//! prints a token, a code, a state or a verifier.

mod attacks;
mod authorization;
mod browser;
mod callback;
mod cookies;
mod endpoint;
mod html;
mod http;
mod mcp;
mod metadata;
mod registration;
mod report;
mod target;
mod token;

use std::{
    io::{self, Write},
    process::ExitCode,
    time::Duration,
};

use url::Url;

pub use report::Outcome;
pub use target::{TargetError, parse_target};

use authorization::Request;
use browser::Browser;
use callback::Listener;
use http::Http;
use mcp::Conversation;
use report::{Passed, Problem, Report, Step};

/// How the doctor signs in.
#[derive(Debug, Clone)]
pub struct Options {
    /// The development user to be, where the gateway has several; otherwise the first.
    pub user: Option<String>,
    /// How long to wait for a human to sign in, where the gateway has a real identity provider.
    pub patience: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self { user: None, patience: Duration::from_mins(5) }
    }
}

/// The command: examines and reports on standard output; 0 is well, 1 is not.
pub fn command(url: &Url, options: Options) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            // Nobody is left to tell when standard error is closed.
            drop(writeln!(io::stderr(), "sallyport: cannot start: {error}"));
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(run(url, options, &mut io::stdout())) {
        Outcome::Well => ExitCode::SUCCESS,
        Outcome::Ill => ExitCode::FAILURE,
    }
}

/// Examines the gateway at `url`, an MCP route or the origin of a gateway with a single route, and writes to `out`.
pub async fn run(url: &Url, options: Options, out: &mut (dyn Write + Send)) -> Outcome {
    let mut report = Report::new(out, url);
    // A step that fails ends the walk where nothing further can be learned; the report tells what was not reached.
    let _ = walk(url, options, &mut report).await;
    report.finish()
}

async fn walk(url: &Url, options: Options, report: &mut Report<'_>) -> Option<()> {
    let (http, listener) = match prepare().await {
        Ok(prepared) => prepared,
        Err(problem) => {
            report.step(Step::FindRoute, async { Err::<Passed<()>, _>(problem) }).await;
            return None;
        }
    };
    let http = &http;
    let endpoint = &if url.path() == "/" {
        report.step(Step::FindRoute, endpoint::find_route(http, url)).await?
    } else {
        report.skip(Step::FindRoute, "the URL is a route");
        url.clone()
    };

    let sign = report.step(Step::Challenge, endpoint::read_sign(http, endpoint)).await;
    if report.is_over() {
        return None;
    }
    report.step(Step::OtherMethods, endpoint::try_other_methods(http, endpoint)).await;
    let resource = &report.step(Step::ResourceMetadata, metadata::read_resource(http, endpoint, sign)).await?;
    let server = &report.step(Step::ServerMetadata, metadata::read_server(http, resource)).await?;
    report.step(Step::OpenIdDiscovery, metadata::compare_openid(http, server)).await;
    report.step(Step::Cors, metadata::check_cors(http, resource, server)).await;

    let redirect_uri = listener.redirect_uri();
    let client = &report.step(Step::Registration, registration::register(http, server, &redirect_uri)).await?;
    let request = Request { server, resource, endpoint, client };
    report.step(Step::ForeignRedirect, request.try_foreign_redirect(http)).await;
    let browser = &mut Browser::new(http, redirect_uri, options.user);
    let authorized = request.run(report, browser, &listener, options.patience).await?;
    let tokens = report.step(Step::Token, request.redeem(http, &authorized)).await?;

    let conversation = use_server(http, endpoint, &tokens.access, report).await;

    report.step(Step::JunkToken, attacks::try_junk(http, endpoint)).await;
    report.step(Step::QueryToken, attacks::try_query(http, endpoint, &tokens.access)).await;
    report.step(Step::OtherPath, attacks::try_other_path(http, endpoint, &tokens.access)).await;
    if authorized.by_hand {
        report.skip(Step::WrongVerifier, "it would need a second sign-in");
    } else {
        report.step(Step::WrongVerifier, request.try_wrong_verifier(http, browser)).await;
    }

    let rotated = report.step(Step::Rotation, request.rotate(http, &tokens)).await?;
    if let Some(conversation) = &conversation {
        report.step(Step::RotatedToken, conversation.list_tools(http, &rotated.access)).await;
    }
    report.step(Step::Grace, request.rotate_again(http, &tokens, &rotated)).await;
    if let Some(conversation) = &conversation {
        conversation.close(http, &rotated.access).await;
    }
    report.step(Step::Revocation, request.revoke(http, &rotated.access)).await;
    report.step(Step::ReplayedCode, request.replay(http, &authorized, &rotated)).await
}

/// Speaks with the MCP server; what it offers decides what can be tried.
async fn use_server(
    http: &Http,
    endpoint: &Url,
    access: &crate::crypto::Secret,
    report: &mut Report<'_>,
) -> Option<Conversation> {
    let conversation = report.step(Step::Handshake, Conversation::open(http, endpoint, access)).await?;
    if let Some(tools) = report.step(Step::ToolsList, conversation.list_tools(http, access)).await {
        if tools.find("echo").is_some() {
            report.step(Step::Echo, conversation.echo(http, access, &tools)).await;
        } else {
            report.skip(Step::Echo, "the server has no such tool");
        }
        if tools.tells_headers() {
            report.step(Step::TokenStaysHere, conversation.check_headers(http, access)).await;
        } else {
            report.skip(Step::TokenStaysHere, "the server cannot tell which headers it saw");
        }
    }
    Some(conversation)
}

async fn prepare() -> Result<(Http, Listener), Problem> {
    let http = Http::new().map_err(|error| Problem::new("an HTTP client", error, "check SSL_CERT_FILE"))?;
    let listener = Listener::bind().await.map_err(|error| Problem::new("a free port", error, "free some ports"))?;
    Ok((http, listener))
}
