//! The binary `kurier`.

mod commands;

use std::process::ExitCode;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

#[tokio::main]
async fn main() -> ExitCode {
    let demo = commands::demo::Demo {
        bootstrap: None,
        length: Duration::from_secs(17),
        keep: false,
        json: std::env::args().any(|a| a == "json"),
        control: std::env::args().any(|a| a == "--control"),
    };
    match commands::demo::run(demo, CancellationToken::new()).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(3),
        Err(error) => {
            tracing::error!("{error:#}");
            ExitCode::FAILURE
        }
    }
}
