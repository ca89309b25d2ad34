//! The command line: a file a command. Results go to standard output, everything else to standard error.

mod caller;
mod completions;
mod conversation;
mod demo;
mod dev;
mod doctor;
mod holds;
mod keys;
mod migrate;
mod openapi;
mod orgs;
mod output;
mod port;
mod purge;
mod retention;
mod sandbox;
mod serve;
mod setting;
mod signals;
mod webhooks;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory as _, Parser, Subcommand};

use setting::Setting;

/// Permanently deletes Genesys Cloud conversation archives for other systems, and proves what it did.
#[derive(Debug, Parser)]
#[command(name = "genesys-purge", version, about, max_term_width = 100)]
struct Cli {
    /// A configuration file; it overrides the built-in defaults.
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The folder of the embedded Postgres, used if DATABASE_URL is not set.
    #[arg(long, global = true, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the main job end to end: embedded Postgres, simulated Genesys, nothing to set up.
    Demo(demo::Args),
    /// Run everything to develop against, for staying: service, simulated Genesys, embedded Postgres and a page of webhooks, on
    /// fixed ports and with data that last.
    Dev(dev::Args),
    /// Run the service.
    Serve(serve::Args),
    /// Bring the database's schema up to date.
    Migrate,
    /// Print the OpenAPI document.
    Openapi(openapi::Args),
    /// Run the simulated Genesys alone, to develop against.
    Sandbox(sandbox::Args),
    /// Make, list and revoke API keys.
    #[command(subcommand)]
    Keys(keys::Action),
    /// Check configuration, database, Genesys and webhooks, and list what needs attention.
    Doctor(doctor::Args),
    /// Submit, watch, list and steer purges, as a caller of a running service.
    #[command(subcommand)]
    Purge(purge::Action),
    /// Show everything that a running service ever did about one conversation.
    #[command(after_help = caller::EXIT_CODES)]
    Conversation(caller::One<conversation::Which>),
    /// Legal holds, as a caller of a running service.
    #[command(subcommand)]
    Holds(holds::Action),
    /// The orgs of a running service, and the emergency brake.
    #[command(subcommand)]
    Org(orgs::Action),
    /// Adopt looser retention rules.
    #[command(subcommand)]
    Retention(retention::Action),
    /// Webhooks: secrets, receivers, what became of each, and redelivery.
    #[command(subcommand)]
    Webhooks(webhooks::Action),
    /// Print what a shell needs to complete commands and options.
    Completions(completions::CompletionsArgs),
    /// Print the manual page, or write those of all commands.
    Man(completions::ManArgs),
}

/// Reads the command line and does what it says.
pub fn run() -> ExitCode {
    let cli = Cli::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return output::fail(&anyhow::Error::new(error)),
    };
    let done = runtime.block_on(dispatch(cli));
    // Whoever is to end at once does not wait for a thread that reads or writes a file.
    runtime.shutdown_background();
    match done {
        Ok(code) => code,
        Err(error) => output::fail(&error),
    }
}

async fn dispatch(cli: Cli) -> anyhow::Result<ExitCode> {
    let setting = Setting::new(cli.config, cli.data_dir)?;
    match cli.command {
        Command::Demo(args) => demo::run(&setting, args).await,
        Command::Dev(args) => dev::run(&setting, args).await,
        Command::Serve(args) => serve::run(&setting, args).await,
        Command::Migrate => migrate::run(&setting).await,
        Command::Openapi(args) => openapi::run(&args),
        Command::Sandbox(args) => sandbox::run(&setting, args).await,
        Command::Keys(action) => keys::run(&setting, action).await,
        Command::Doctor(args) => doctor::run(&setting, args).await,
        Command::Purge(action) => purge::run(&setting, action).await,
        Command::Conversation(args) => conversation::run(&setting, &args).await,
        Command::Holds(action) => holds::run(&setting, action).await,
        Command::Org(action) => orgs::run(&setting, action).await,
        Command::Completions(args) => completions::completions(Cli::command(), &args),
        Command::Man(args) => completions::man(Cli::command(), &args),
        Command::Retention(action) => retention::run(&setting, action).await,
        Command::Webhooks(action) => webhooks::run(&setting, action).await,
    }
}
