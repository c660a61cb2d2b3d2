//! The dashboard over the demo. Its clients are shown as any others are: by what they serve of themselves.

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};

use kurier::{ClientConfig, Monitor, MonitorServer};
use kurier_dashboard::{Dashboard, StartError};

/// Which dashboard is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted {
    /// None.
    Not,
    /// At this address.
    At(String),
    /// At the usual one, or at a free port where that is taken.
    Somewhere,
}

/// Where everybody looks first.
const USUAL: &str = "127.0.0.1:8080";
const FREE: &str = "127.0.0.1:0";

/// The dashboard, and the server that tells it of the clients.
#[derive(Debug)]
pub struct Window {
    dashboard: Dashboard,
    clients: MonitorServer,
    lost: Arc<OnceLock<u64>>,
}

impl Window {
    /// A dashboard of the cluster at `bootstrap` and the clients under `monitor`, if one is wanted.
    ///
    /// # Errors
    /// When nothing can listen there.
    pub async fn open(
        wanted: &Wanted,
        bootstrap: &str,
        monitor: &Monitor,
    ) -> anyhow::Result<Option<Self>> {
        let listen = match wanted {
            Wanted::Not => return Ok(None),
            Wanted::At(address) => address,
            Wanted::Somewhere => USUAL,
        };
        let clients = MonitorServer::bind(FREE, monitor).await?;
        let lost = Arc::new(OnceLock::new());
        let start = async |listen: &str| {
            let mut builder = Dashboard::builder(ClientConfig::new(bootstrap));
            builder.watch_mut().lost = Arc::clone(&lost);
            builder.listen(listen).client(clients.address().to_string()).start().await
        };
        let dashboard = match start(listen).await {
            Err(StartError::Listen { .. }) if *wanted == Wanted::Somewhere => start(FREE).await?,
            started => started?,
        };
        Ok(Some(Self { dashboard, clients, lost }))
    }

    /// Where it is.
    pub fn address(&self) -> SocketAddr {
        self.dashboard.address()
    }

    /// The verdict: so many messages were lost.
    pub fn judged(&self, lost: u64) {
        // There is one verdict.
        self.lost.get_or_init(|| lost);
    }

    /// Ends it.
    pub async fn close(self) {
        self.dashboard.close().await;
        self.clients.close().await;
    }
}
