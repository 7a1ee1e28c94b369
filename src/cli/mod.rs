//! The command line.

mod check;
pub mod demo;
pub mod doctor;
mod health;
mod keys;
mod run;

use std::{path::PathBuf, process::ExitCode, time::Duration};

use clap::{Parser, Subcommand};
use url::Url;

/// A self-hosted MCP gateway.
#[derive(Parser)]
#[command(name = "sallyport", version, about, propagate_version = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve.
    Run {
        #[command(flatten)]
        config: ConfigFile,
        /// Take the listening sockets over from the running process.
        #[arg(long)]
        upgrade: bool,
    },
    /// Check the configuration, and print what follows from it and what to register where.
    Check {
        #[command(flatten)]
        config: ConfigFile,
        /// Print instead what a caller with these claims, a JSON object, would see on each route.
        #[arg(long, value_name = "CLAIMS")]
        explain: Option<String>,
    },
    /// Run a complete gateway on this machine, with a sample MCP server, a development sign-in and a temporary store.
    Demo {
        /// The port to listen on; another free one is taken if it is in use.
        #[arg(long, default_value_t = 8080)]
        port: u16,
    },
    /// Walk through discovery, registration, login, tokens and an MCP call of a running gateway, and report every step.
    Doctor {
        /// The URL of an MCP route, or the gateway's origin if it has one route only.
        #[arg(value_parser = doctor::parse_target)]
        url: Url,
        /// The development user to sign in as, where the gateway has several.
        #[arg(long)]
        user: Option<String>,
        /// How many seconds to wait for a person to sign in, where the gateway has a real identity provider.
        #[arg(long, default_value_t = 300)]
        patience: u64,
    },
    /// Ask the running gateway of a configuration whether it can serve; for health checks of containers.
    Health {
        #[command(flatten)]
        config: ConfigFile,
    },
    /// Encryption keys.
    Keys {
        #[command(subcommand)]
        command: KeysCommand,
    },
    /// Bring the store's schema up to date and exit.
    Migrate {
        #[command(flatten)]
        config: ConfigFile,
    },
}

#[derive(Subcommand)]
enum KeysCommand {
    /// Print a new key for `encryption.keys`.
    Generate,
    /// Seal everything that is kept with the first key of `encryption.keys`, while gateways serve; afterwards the others
    /// can go.
    Rotate {
        #[command(flatten)]
        config: ConfigFile,
    },
}

#[derive(clap::Args)]
struct ConfigFile {
    /// The configuration file.
    #[arg(long, value_name = "FILE", env = "SALLYPORT_CONFIG", default_value = "conf/sallyport.yaml")]
    config: PathBuf,
}

/// Runs the program: 0 is fine, 1 failed, 2 wrong usage or configuration.
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if rustls::crypto::ring::default_provider().install_default().is_err() {
        tracing::debug!("a TLS crypto provider was installed already");
    }
    match arguments.command {
        Command::Run { config, upgrade } => run::run(&config.config, upgrade),
        Command::Check { config, explain } => check::check(&config.config, explain.as_deref()),
        Command::Demo { port } => demo::run(port),
        Command::Doctor { url, user, patience } => {
            doctor::command(&url, doctor::Options { user, patience: Duration::from_secs(patience) })
        }
        Command::Health { config } => health::health(&config.config),
        Command::Keys { command: KeysCommand::Generate } => keys::generate(),
        Command::Keys { command: KeysCommand::Rotate { config } } => keys::rotate(&config.config),
        Command::Migrate { config } => run::migrate(&config.config),
    }
}
