//! Our own clients: asked for `/metrics` and `/readyz`, as Prometheus does, so that they need to know
//! nothing of the dashboard and can't be hurt by it.
//!
//! A round resolves every name anew and asks each of its addresses (`fetch`), within its own deadline.
//! What came back is read (`text`, `figures`) and kept by process (`roll`, `process`) and client (`track`),
//! with what it has come to over restarts (`counter`) and what of the last minute can be told (`buckets`);
//! all of that is pure.

mod buckets;
mod counter;
mod fetch;
mod figures;
mod process;
mod roll;
mod text;
mod track;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::StatusCode;
use jiff::Timestamp;
use tokio::net::lookup_host;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::view::{ClientProcess, ClientTotals};
use crate::watch::Note;
pub(crate) use buckets::BUCKETS_MAX;
pub(crate) use fetch::BODY_MAX as PAGE_MAX;
use fetch::{NoPage, Page, get};
pub(crate) use figures::CLIENTS_MAX;
use figures::Figures;
use process::Answer;
use roll::{Asked, Roll};

/// Looks that come faster than this replace each other.
const SPACING: Duration = Duration::from_secs(2);
/// How many addresses of one name are asked.
const ADDRESSES_MAX: usize = 64;
/// How many addresses are asked at once.
const AT_ONCE: usize = 16;
/// Lines of a process's checks that are kept, and how much of each.
const CHECKS_MAX: usize = 200;
const CHECK_CHARS_MAX: usize = 500;

/// Asks the clients, and remembers what they said.
#[derive(Debug)]
pub(crate) struct Scraper {
    /// `host:port` each.
    names: Vec<String>,
    /// For one name to be resolved, and for one address to answer.
    deadline: Duration,
    roll: Roll,
}

impl Scraper {
    pub(crate) fn new(names: Vec<String>, deadline: Duration) -> Self {
        Self { names, deadline, roll: Roll::default() }
    }

    /// Asks all of them once; returns what happened since the last time. Cancel safe: dropped, nothing of
    /// this round was seen.
    pub(crate) async fn look(&mut self) -> Vec<Note> {
        let (mut asking, room) = (JoinSet::new(), Arc::new(Semaphore::new(AT_ONCE)));
        for name in &self.names {
            asking.spawn(ask_name(name.clone(), self.deadline, Arc::clone(&room)));
        }
        let asked = asking.join_all().await;
        self.roll.round(Timestamp::now(), asked)
    }

    /// Every process that is or was asked.
    pub(crate) fn processes(&self) -> Vec<ClientProcess> {
        self.roll.show()
    }

    /// Topics that they write dead letters to.
    pub(crate) fn dead_letters(&self) -> Vec<String> {
        self.roll.dead_letters().into_iter().collect()
    }

    /// All of them together.
    pub(crate) fn totals(&self) -> ClientTotals {
        self.roll.totals()
    }
}

/// Asks every address that a name has now.
async fn ask_name(name: String, deadline: Duration, room: Arc<Semaphore>) -> Asked {
    let addresses = match resolve(&name, deadline).await {
        Ok(addresses) => addresses,
        Err(error) => return Asked { name, found: Err(error) },
    };
    // A machine that has both is one all the same: the second family is asked when nobody of the first is
    // there, which for `localhost` may be.
    let (first, second): (Vec<_>, Vec<_>) = addresses.into_iter().partition(SocketAddr::is_ipv4);
    let mut found = ask_all(&name, first, deadline, &room).await;
    if found.iter().all(|(_, answer)| answer.is_err()) {
        found.extend(ask_all(&name, second, deadline, &room).await);
    }
    Asked { name, found: Ok(found) }
}

async fn resolve(name: &str, deadline: Duration) -> Result<Vec<SocketAddr>, String> {
    match tokio::time::timeout(deadline, lookup_host(name)).await {
        Ok(Ok(addresses)) => Ok(addresses.take(ADDRESSES_MAX).collect()),
        Ok(Err(error)) => Err(format!("its name can't be resolved: {error}")),
        Err(_) => Err(format!("its name is not resolved within {} s", deadline.as_secs_f64())),
    }
}

type Found = Vec<(SocketAddr, Result<Answer, String>)>;

async fn ask_all(
    name: &str,
    addresses: Vec<SocketAddr>,
    deadline: Duration,
    room: &Arc<Semaphore>,
) -> Found {
    let mut asking = JoinSet::new();
    for address in addresses {
        let (name, room) = (name.to_owned(), Arc::clone(room));
        asking.spawn(async move {
            // Nobody closes it.
            let _one_of_some = room.acquire().await;
            let answer = ask(address, &name, deadline).await;
            (address, answer.map_err(|error| error.to_string()))
        });
    }
    asking.join_all().await
}

/// Why a process is not there.
#[derive(Debug, thiserror::Error)]
enum NotThere {
    #[error(transparent)]
    NoPage(#[from] NoPage),
    #[error("/metrics is answered with {0}")]
    Status(StatusCode),
    #[error(transparent)]
    NoFigures(#[from] figures::NoFigures),
}

async fn ask(address: SocketAddr, host: &str, deadline: Duration) -> Result<Answer, NotThere> {
    let (metrics, ready) = tokio::join!(
        get(address, host, "/metrics", deadline),
        get(address, host, "/readyz", deadline)
    );
    let metrics = metrics?;
    if metrics.status != StatusCode::OK {
        return Err(NotThere::Status(metrics.status));
    }
    let figures = Figures::read(&metrics.body)?;
    // Without it, the figures tell.
    let (ready, checks) = ready.map_or((None, Vec::new()), |page| readiness(&page));
    Ok(Answer { figures, ready, checks })
}

/// What `/readyz` says: yes or no, and a line for each check behind a first one for all.
fn readiness(page: &Page) -> (Option<bool>, Vec<String>) {
    let ready = match page.status {
        StatusCode::OK => true,
        StatusCode::SERVICE_UNAVAILABLE => false,
        _ => return (None, Vec::new()),
    };
    let lines = page.body.lines().skip(1).take(CHECKS_MAX);
    (Some(ready), lines.map(|line| line.chars().take(CHECK_CHARS_MAX).collect()).collect())
}

#[cfg(test)]
mod tests;
