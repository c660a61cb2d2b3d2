//! The dashboard as its user sees it: set up, started, closed.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::http::uri::Authority;
use kurier::{ClientConfig, ConfigProblems};
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::http::{Guard, Shared, Token, Waits, router, serve};
use crate::{Watch, WatchConfig};

/// A dashboard that is served.
///
/// It reads unless a token is set, and then whoever knows it may replay dead letters and reset groups. It
/// has no users and no encryption: whoever reaches its address reads messages. Dropped, it ends at once.
///
/// ```no_run
/// # async fn example() -> Result<(), kurier_dashboard::StartError> {
/// use kurier::ClientConfig;
/// use kurier_dashboard::Dashboard;
///
/// let dashboard = Dashboard::builder(ClientConfig::new("localhost:9092")).start().await?;
/// println!("http://{}", dashboard.address());
/// dashboard.close().await;
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct Dashboard {
    address: SocketAddr,
    /// Ends streams, connections, and replays with what is on its way.
    stop: CancellationToken,
    /// Ends replays at once.
    leave: CancellationToken,
    tasks: TaskTracker,
    /// `None` once it is closed.
    running: Option<(JoinHandle<()>, Watch)>,
}

/// A dashboard to be.
#[derive(Debug)]
#[must_use = "nothing is served until it is started"]
pub struct DashboardBuilder {
    watch: WatchConfig,
    listen: String,
    token: Option<Given>,
    hosts: Vec<String>,
    waits: Waits,
}

/// A dashboard that could not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The client's configuration is wrong.
    #[error(transparent)]
    Config(#[from] ConfigProblems),
    /// Nothing can listen there.
    #[error("listen on {address}")]
    Listen {
        /// The address.
        address: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The token can't be one.
    #[error("{0}")]
    Token(String),
    /// A host that is no name or address.
    #[error("{host:?} is no name or address of a host, without a port")]
    Host {
        /// What was given.
        host: String,
    },
}

/// What closing may take for what is under way.
const CLOSE_WAIT: Duration = Duration::from_millis(1200);
/// And for what is then left at once.
const LEAVE_WAIT: Duration = Duration::from_millis(300);

impl Dashboard {
    /// A dashboard of the cluster that `client` reaches.
    pub fn builder(client: ClientConfig) -> DashboardBuilder {
        let mut client = client;
        client.client_id.get_or_insert_with(|| "kurier-dashboard".to_owned());
        DashboardBuilder {
            watch: WatchConfig::new(client),
            listen: "127.0.0.1:8080".to_owned(),
            token: None,
            hosts: Vec::new(),
            waits: Waits::default(),
        }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Accepts no more requests, and ends within 2 s: streams are ended, what is being looked at is broken
    /// off, and a replay that runs commits what it has sent, or is left for the same one to go on.
    pub async fn close(mut self) {
        self.stop.cancel();
        self.tasks.close();
        let Some((serving, watch)) = self.running.take() else { return };
        let serving = async {
            if let Err(error) = serving.await {
                tracing::error!(%error, "the dashboard's server ended badly");
            }
            self.tasks.wait().await;
        };
        let closing = async { tokio::join!(serving, watch.close()) };
        if tokio::time::timeout(CLOSE_WAIT, closing).await.is_ok() {
            return;
        }
        self.leave.cancel();
        if tokio::time::timeout(LEAVE_WAIT, self.tasks.wait()).await.is_err() {
            tracing::debug!(
                left = self.tasks.len(),
                "clients of the dashboard that are not gone yet"
            );
        }
    }
}

impl Drop for Dashboard {
    fn drop(&mut self) {
        self.stop.cancel();
        self.leave.cancel();
        if let Some((serving, watch)) = self.running.take() {
            serving.abort();
            // Without a runtime its collectors are gone already.
            if let Ok(runtime) = Handle::try_current() {
                runtime.spawn(watch.close());
            }
        }
    }
}

impl DashboardBuilder {
    /// Listens on `address` (`host:port`; port 0 takes a free one). Default: `127.0.0.1:8080`.
    pub fn listen(mut self, address: impl Into<String>) -> Self {
        self.listen = address.into();
        self
    }

    /// Whoever sends this as `Authorization: Bearer …` may change something: 16 characters of visible
    /// ASCII or more. Default: none, and nothing can be changed.
    pub fn token(mut self, token: impl Into<String>) -> Self {
        self.token = Some(Given(token.into()));
        self
    }

    /// A name or address that the dashboard is known by, beside the one it listens on and this machine's
    /// loopback ones. Requests that name another host are refused. Default: none.
    pub fn host(mut self, host: impl Into<String>) -> Self {
        self.hosts.push(host.into());
        self
    }

    /// Where clients of kurier's serve `/metrics` and `/readyz`: `host:port`. A name that has several
    /// addresses means all of them. Default: none.
    pub fn client(mut self, address: impl Into<String>) -> Self {
        self.watch.clients.push(address.into());
        self
    }

    /// A topic of dead letters, beside those that are called `….dlq`. Default: none.
    pub fn dead_letter(mut self, topic: impl Into<String>) -> Self {
        self.watch.dead_letters.push(topic.into());
        self
    }

    /// What is watched, and how often, to change it.
    pub fn watch_mut(&mut self) -> &mut WatchConfig {
        &mut self.watch
    }

    /// Bounds of time that a test can't wait for.
    #[doc(hidden)]
    pub fn waits(mut self, waits: Waits) -> Self {
        self.waits = waits;
        self
    }

    /// Listens, and begins to watch; whether the cluster is there is not waited for. To be called within a
    /// tokio runtime.
    ///
    /// # Errors
    /// A wrong configuration, or an address that nothing can listen on.
    ///
    /// # Cancel safety
    /// Dropping it starts nothing.
    pub async fn start(self) -> Result<Dashboard, StartError> {
        let Self { mut watch, listen, token, hosts, waits } = self;
        let token = token.map(|Given(token)| Token::new(&token)).transpose();
        let token = token.map_err(StartError::Token)?;
        if let Some(host) = hosts.iter().find(|host| !is_host(host)) {
            return Err(StartError::Host { host: host.clone() });
        }
        let failed = |source| StartError::Listen { address: listen.clone(), source };
        let listener = TcpListener::bind(&listen).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let guard = Guard::new(hosts, token);
        watch.writable = guard.is_writable();
        if !address.ip().is_loopback() {
            warn_of_readers(address, guard.is_writable());
        }
        let client = watch.client.clone();
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        let leave = CancellationToken::new();
        let watch = Watch::start(watch)?;
        let ends = (stop.clone(), leave.clone());
        let shared = Shared::new(watch.clone(), guard, &client, tasks.clone(), ends, waits)?;
        let routes = router(Arc::new(shared));
        let serving = tokio::spawn(serve(listener, routes, stop.clone(), waits));
        Ok(Dashboard { address, stop, leave, tasks, running: Some((serving, watch)) })
    }
}

/// A token before it is one. Not shown.
struct Given(String);

impl std::fmt::Debug for Given {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Given(…)")
    }
}

fn is_host(host: &str) -> bool {
    let bare: Option<std::net::IpAddr> = host.parse().ok();
    let named = || {
        let authority: Option<Authority> = host.parse().ok();
        authority.is_some_and(|it| it.host() == host && it.port().is_none())
    };
    bare.is_some() || named()
}

fn warn_of_readers(address: SocketAddr, is_writable: bool) {
    let written = if is_writable {
        "the token guards only what changes something"
    } else {
        "nothing can be changed without a token"
    };
    tracing::warn!(
        %address,
        "the dashboard listens beyond this machine: whoever reaches it reads the messages of every topic; {written}"
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_a_name_or_an_address_without_a_port() {
        for host in ["dash", "dash.example", "10.1.2.3", "::1", "[::1]"] {
            assert!(is_host(host), "{host}");
        }
        for host in ["", "dash:8080", "http://dash", "a b", "dash/", "user@dash", "[::1]:80"] {
            assert!(!is_host(host), "{host}");
        }
    }

    #[test]
    fn a_token_is_never_shown() {
        let client = ClientConfig::new("localhost:9092");
        let builder = Dashboard::builder(client).token("0123456789abcdef");
        assert!(!format!("{builder:?}").contains("0123456789abcdef"));
    }
}
