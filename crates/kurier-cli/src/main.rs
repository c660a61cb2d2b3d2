//! The binary `kurier`: reads the command line, runs the command, and ends with a code that is true.

mod args;
mod closed;
mod commands;
mod exit;
mod output;
mod settings;
mod signals;

use std::io::IsTerminal;
use std::process::ExitCode;

use clap::{CommandFactory, Parser};
use serde_json::json;
use tracing_subscriber::EnvFilter;

use args::{Cli, Command, LogFormat, Output};
use commands::demo::Wanted;
use exit::Exit;
use signals::Signals;

fn main() -> ExitCode {
    let cli = Cli::parse();
    log(&cli);
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!("no runtime: {error}");
            return Exit::Failed.code();
        }
    };
    let ended = runtime.block_on(run(cli));
    // A read of a terminal may never end.
    runtime.shutdown_background();
    match ended {
        Ok(exit) => exit.code(),
        // What is only shown is wanted no longer; a command with a verdict has given it.
        Err(error) if output::is_of_unread(&error) => Exit::Done.code(),
        Err(error) => {
            tracing::error!("{error:#}{}", exit::hint(&error));
            Exit::of(&error).code()
        }
    }
}

async fn run(cli: Cli) -> anyhow::Result<Exit> {
    let signals = Signals::listen()?;
    let mut global = cli.global;
    // These ask no cluster, and work whatever stands in a file of settings.
    if !matches!(cli.command, Command::Completion { .. } | Command::Version | Command::Probe(_)) {
        global.settle()?;
    }
    match cli.command {
        Command::Demo(args) => {
            let demo = commands::demo::Demo {
                cluster: commands::demo::cluster(&global.settings)?,
                patience: global.admin_timeout(),
                length: args.length,
                keep: args.keep,
                dashboard: match (args.no_dashboard, args.listen) {
                    (true, _) => Wanted::Not,
                    (false, Some(address)) => Wanted::At(address),
                    (false, None) => Wanted::Somewhere,
                },
                json: global.output == Output::Json,
                control: args.control,
                progress: !global.no_progress,
            };
            let holds = commands::demo::run(demo, signals.drain.clone()).await?;
            Ok(if holds { signals.exit() } else { Exit::Loss })
        }
        Command::Cluster(command) => commands::cluster::run(command, &global, &signals).await,
        Command::Topic(command) => commands::topic::run(command, &global, &signals).await,
        Command::Group(command) => commands::group::run(command, &global, &signals).await,
        Command::Doctor(args) => commands::doctor::run(args, &global).await,
        Command::Produce(args) => commands::produce::run(args, &global, &signals).await,
        Command::Outbox(command) => commands::outbox::run(command, &global, &signals).await,
        Command::Consume(command) => commands::consume::run(command, &global, &signals).await,
        Command::Dlq(command) => commands::dlq::run(command, &global, &signals).await,
        Command::Probe(command) => commands::probe::run(command, &global).await,
        Command::Dashboard(args) => commands::dashboard::run(args, &global, &signals).await,
        Command::Bench(command) => commands::bench::run(command, &global, &signals).await,
        Command::Profile(command) => commands::profile::run(&command, &global),
        Command::Completion { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "kurier", &mut script);
            output::bytes(&script)?;
            Ok(Exit::Done)
        }
        Command::Version => {
            let (_, librdkafka) = rdkafka::util::get_rdkafka_version();
            let version = env!("CARGO_PKG_VERSION");
            match global.output {
                Output::Json => {
                    output::json(&json!({ "version": version, "librdkafka": librdkafka }))?;
                }
                Output::Table => {
                    output::text(&format!("kurier {version} (librdkafka {librdkafka})\n"))?;
                }
            }
            Ok(Exit::Done)
        }
    }
}

fn log(cli: &Cli) {
    let Cli { global, command } = cli;
    let level = match (global.quiet, global.verbose) {
        (true, _) => "error",
        // Its story is told on standard output.
        (false, 0) if matches!(command, Command::Demo(_)) => "error",
        (false, 0) => "info",
        (false, 1) => "debug",
        (false, _) => "trace",
    };
    let log = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(level))
        .with_target(false)
        .with_writer(std::io::stderr);
    match global.log_format {
        LogFormat::Text => log.with_ansi(std::io::stderr().is_terminal()).init(),
        LogFormat::Json => log.json().init(),
    }
}
