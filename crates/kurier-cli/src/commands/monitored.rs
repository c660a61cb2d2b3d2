//! `--metrics ADDR`: health and metrics of a producer or a consumer, served while it runs.

use kurier::{Monitor, MonitorServer};

use crate::exit::UsageError;

/// A monitor for the command's client, and the server that tells what it says.
pub struct Monitored {
    pub monitor: Monitor,
    server: MonitorServer,
}

/// Serves at `address`, if one was given, and says where.
///
/// # Errors
/// When nothing can listen there.
pub async fn serve(address: Option<&str>) -> Result<Option<Monitored>, UsageError> {
    let Some(address) = address else { return Ok(None) };
    let monitor = Monitor::default();
    let server = MonitorServer::bind(address, &monitor)
        .await
        .map_err(|error| UsageError(format!("--metrics {address}: {error}")))?;
    tracing::info!(address = %server.address(), "serves /livez, /readyz and /metrics");
    Ok(Some(Monitored { monitor, server }))
}

/// Ends what [`serve`] began, after the client has ended.
pub async fn close(monitored: Option<Monitored>) {
    if let Some(monitored) = monitored {
        monitored.server.close().await;
    }
}
