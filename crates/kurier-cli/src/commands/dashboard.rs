//! `kurier dashboard`: the page and its API, served until a signal comes, whether the cluster is there or
//! not.

use std::path::Path;

use kurier::Secret;
use kurier_dashboard::{Dashboard, DashboardBuilder};
use serde_json::json;

use crate::args::{DashboardArgs, Global, Output};
use crate::exit::{Exit, UsageError};
use crate::output;
use crate::settings::warn_of_readers;
use crate::signals::Signals;

/// Serves, and says where.
///
/// # Errors
/// When the configuration is wrong, or nothing can listen there.
pub async fn run(args: DashboardArgs, global: &Global, signals: &Signals) -> anyhow::Result<Exit> {
    let dashboard = configured(args, global)?.start().await?;
    let url = format!("http://{}/", dashboard.address());
    tracing::info!(bootstrap = global.bootstrap(), "the dashboard is at {url}");
    if global.output == Output::Json {
        let address = dashboard.address().to_string();
        output::unless_unread(output::json(&json!({ "address": address, "url": url })))?;
    }
    signals.drain.cancelled().await;
    tokio::select! {
        () = dashboard.close() => {}
        () = signals.leave.cancelled() => {}
    }
    Ok(signals.exit())
}

fn configured(args: DashboardArgs, global: &Global) -> anyhow::Result<DashboardBuilder> {
    let DashboardArgs { listen, token_file, hosts, clients, dead_letters } = args;
    let mut builder = Dashboard::builder(global.client()).listen(listen);
    if let Some(path) = token_file {
        builder = builder.token(token(&path)?);
    }
    for host in hosts {
        builder = builder.host(host);
    }
    for client in clients {
        builder = builder.client(client);
    }
    for topic in dead_letters {
        builder = builder.dead_letter(topic);
    }
    Ok(builder)
}

fn token(path: &Path) -> Result<String, UsageError> {
    warn_of_readers(path);
    // The reason names the file.
    Secret::from_file(path).read().map_err(|reason| UsageError(format!("--token-file: {reason}")))
}
