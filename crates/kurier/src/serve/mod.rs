//! What a process says of its clients to those who watch it: alive, ready, and figures.
//!
//! Owns [`Monitor`], which clients are put under, the checks that its answers are made of (`checks`),
//! and, with the feature `http`, a small server that gives them (`server`).

mod checks;
#[cfg(feature = "http")]
mod server;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::metrics::{CHECK_FAILING, CLIENT_LIVE, CLIENT_READY, Figures, Page};
use crate::{Condition, HealthHandle};
use checks::{Kind, Question, answer};

#[cfg(feature = "http")]
pub use server::MonitorServer;

/// Watches the clients of a process: builders put them under it (`monitor`). Cheap to clone; all clones
/// are one.
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use kurier::{MessageProducer, Monitor};
///
/// let monitor = Monitor::default();
/// let producer = MessageProducer::builder("127.0.0.1:9092").monitor(&monitor).build().await?;
/// println!("{}", monitor.readyz().body());
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, Default)]
pub struct Monitor(Arc<Mutex<Vec<Watched>>>);

/// One client under a monitor.
#[derive(Debug, Clone)]
struct Watched {
    kind: Kind,
    name: String,
    health: HealthHandle,
    figures: Figures,
}

/// What a monitor says when it is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// All is well; the text says what was looked at.
    Yes(String),
    /// Something is not; the text says what, and why.
    No(String),
}

impl Answer {
    /// The text: a line in all, and one for each check.
    pub fn body(&self) -> &str {
        match self {
            Self::Yes(body) | Self::No(body) => body,
        }
    }
}

impl Monitor {
    /// Whether the process should be left alone: [`Health::liveness`](crate::Health::liveness) of every
    /// client. Without a client it should.
    pub fn livez(&self) -> Answer {
        answer(Question::Live, &self.looked_at())
    }

    /// Whether every client does its work: [`Health::readiness`](crate::Health::readiness). Without a
    /// client nothing does.
    pub fn readyz(&self) -> Answer {
        answer(Question::Ready, &self.looked_at())
    }

    /// The figures of every client as Prometheus reads them (text format 0.0.4); see
    /// [`METRICS`](crate::METRICS).
    pub fn metrics(&self) -> String {
        let mut page = Page::new();
        for Watched { kind, name, health, figures } in self.watched().clone() {
            let (health, role) = (health.now(), figures.role());
            page.put(&CLIENT_LIVE, [&name, role], u8::from(health.is_live()));
            page.put(&CLIENT_READY, [&name, role], u8::from(health.is_ready()));
            for (check, failing) in checks::each(kind, &health) {
                page.put(&CHECK_FAILING, [&name, role, check], u8::from(failing));
            }
            figures.write(&name, &mut page);
        }
        page.text()
    }

    /// Watches a client from now on.
    ///
    /// It takes the place of one of its name that has ended, so that those which come and go don't pile
    /// up. Beside one that goes on it gets a name of its own: `NAME-2` and so on.
    pub(crate) fn watch(&self, name: &str, health: &HealthHandle, figures: Figures) {
        let kind = Kind::of(&figures);
        let mut watched = self.watched();
        watched.retain(|one| one.kind != kind || !one.is_namesake(name) || !one.has_ended());
        let taken = |name: &str| watched.iter().any(|one| one.kind == kind && one.name == name);
        let mut unique = name.to_owned();
        for number in 2.. {
            if !taken(&unique) {
                break;
            }
            unique = format!("{name}-{number}");
        }
        watched.push(Watched { kind, name: unique, health: health.clone(), figures });
    }

    fn looked_at(&self) -> Vec<checks::Client> {
        let looked_at = |one: &Watched| checks::Client {
            kind: one.kind,
            name: one.name.clone(),
            health: one.health.now(),
        };
        self.watched().iter().map(looked_at).collect()
    }

    /// The list is whole after any panic: each change is one push or one removal.
    fn watched(&self) -> MutexGuard<'_, Vec<Watched>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Watched {
    fn is_namesake(&self, name: &str) -> bool {
        let rest = self.name.strip_prefix(name);
        rest.is_some_and(|rest| rest.is_empty() || is_number(rest))
    }

    fn has_ended(&self) -> bool {
        self.health.now().conditions.iter().any(|condition| {
            use Condition as C;
            matches!(condition, C::Ended(_) | C::Failed { .. } | C::Fenced { .. })
        })
    }
}

fn is_number(rest: &str) -> bool {
    rest.strip_prefix('-').is_some_and(|number| number.parse::<u32>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Ended;
    use crate::health::Phase;

    fn named(monitor: &Monitor) -> Vec<String> {
        monitor.watched().iter().map(|one| one.name.clone()).collect()
    }

    #[test]
    fn clients_that_come_and_go_do_not_pile_up_and_those_that_stay_keep_their_names() {
        let producer = || Figures::Producer(Arc::default());
        let monitor = Monitor::default();
        let (first, second) = (HealthHandle::default(), HealthHandle::default());
        monitor.watch("orders", &first, producer());
        monitor.watch("orders", &second, producer());
        let consumer = Figures::Consumer(Arc::default());
        monitor.watch("orders", &HealthHandle::default(), consumer);
        assert_eq!(named(&monitor), ["orders", "orders-2", "orders"]);
        first.write(|observed| observed.phase = Phase::Ended(Ended::Shutdown));
        for _ in 0..100 {
            let next = HealthHandle::default();
            monitor.watch("orders", &next, producer());
            assert_eq!(named(&monitor).len(), 3);
            next.write(|observed| observed.phase = Phase::Ended(Ended::Shutdown));
        }
        second.write(|observed| observed.phase = Phase::Ended(Ended::Shutdown));
        monitor.watch("orders", &first, producer());
        assert_eq!(named(&monitor), ["orders", "orders"], "the names are free again");
    }
}
