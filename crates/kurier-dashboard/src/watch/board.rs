//! The board that collectors publish on and answers are read from.
//!
//! A lock on it is held for a clone or a swap of a reference, never over a question.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock};

use jiff::Timestamp;
use tokio::sync::watch;

use super::WatchConfig;
use super::journal::{Journal, Note};
use super::judge::{self, Age, Known};
use super::looks::{ClientsLook, ClusterLook, GroupsLook, OffsetsLook, SettingsLook};
use crate::view::{EventKind, Panel, Part, Severity, State, Status};

/// What there is of a part before its first look has ended.
const NOT_YET: &str = "nothing was seen yet";

/// All that was seen.
#[derive(Debug)]
pub(crate) struct Board {
    pub(crate) config: WatchConfig,
    pub(crate) cluster: Slot<ClusterLook>,
    pub(crate) offsets: Slot<OffsetsLook>,
    pub(crate) groups: Slot<GroupsLook>,
    pub(crate) settings: Slot<SettingsLook>,
    pub(crate) clients: Slot<ClientsLook>,
    /// Brokers that did not answer for the partitions they lead.
    suspects: Mutex<BTreeSet<i32>>,
    /// The state that was judged last, and since when it is this one.
    standing: Mutex<(State, Timestamp)>,
    journal: Mutex<Journal>,
    /// That a collector is gone, and why.
    pub(crate) died: OnceLock<String>,
    versions: watch::Sender<Versions>,
}

impl Board {
    pub(crate) fn new(config: WatchConfig, started: Timestamp) -> Self {
        let clients = if config.clients.is_empty() { "no client is named" } else { NOT_YET };
        Self {
            config,
            cluster: Slot::empty(NOT_YET),
            offsets: Slot::empty(NOT_YET),
            groups: Slot::empty(NOT_YET),
            settings: Slot::empty(NOT_YET),
            clients: Slot::empty(clients),
            suspects: Mutex::default(),
            standing: Mutex::new((State::Unknown, started)),
            journal: Mutex::default(),
            died: OnceLock::new(),
            versions: watch::Sender::new(Versions::default()),
        }
    }

    /// The state of the cluster now, and why. That it stopped answering, or answers again, is an event.
    pub(crate) fn judge(&self, now: Timestamp) -> Status {
        let (cluster, offsets, settings) =
            (self.cluster.kept(), self.offsets.kept(), self.settings.kept());
        let known = Known {
            cluster: &cluster,
            offsets: &offsets,
            settings: &settings,
            pace: &self.config.pace,
        };
        let (state, reasons) = judge::state(now, &known);
        let before = {
            let mut standing = self.standing.lock().unwrap_or_else(PoisonError::into_inner);
            let before = *standing;
            if before.0 != state {
                *standing = (state, now);
            }
            before
        };
        let since = if before.0 == state { before.1 } else { now };
        let note = |severity, text| Note::new(EventKind::Cluster, severity, "cluster", text);
        match (before.0, state) {
            (State::Down, State::Down) => {}
            (_, State::Down) => {
                let why = reasons.first().cloned().unwrap_or_default();
                self.note(now, vec![note(Severity::Error, why)]);
            }
            (State::Down, _) => {
                let seconds = now.duration_since(before.1).as_secs().max(0);
                let text = format!("the cluster answers again; it was away for {seconds} s");
                self.note(now, vec![note(Severity::Info, text)]);
            }
            _ => {}
        }
        Status { state, reasons, since }
    }

    /// How old each part is, the cluster first; nothing of clients when none is named.
    pub(crate) fn ages(&self) -> Vec<Age> {
        let pace = &self.config.pace;
        let clients = (!self.config.clients.is_empty())
            .then(|| Age::of("clients", &self.clients.kept(), pace.clients, pace));
        let of_cluster = [
            Age::of("cluster", &self.cluster.kept(), pace.cluster, pace),
            Age::of("offsets", &self.offsets.kept(), pace.offsets, pace),
            Age::of("groups", &self.groups.kept(), pace.groups, pace),
            Age::of("settings", &self.settings.kept(), pace.settings, pace),
        ];
        of_cluster.into_iter().chain(clients).collect()
    }

    /// Notes which brokers did not answer for the partitions they lead, as of now.
    pub(crate) fn suspect(&self, brokers: BTreeSet<i32>) {
        *self.suspects.lock().unwrap_or_else(PoisonError::into_inner) = brokers;
    }

    /// Those of the listed brokers that may not be there: they did not answer, or were down before.
    pub(crate) fn suspects(
        &self,
        listed: &BTreeMap<i32, String>,
        before: Option<&ClusterLook>,
    ) -> BTreeMap<i32, String> {
        let suspects = self.suspects.lock().unwrap_or_else(PoisonError::into_inner);
        let down =
            |id: &i32| before.and_then(|look| look.brokers.get(*id)).is_some_and(|known| !known.up);
        let suspected = listed.iter().filter(|(id, _)| suspects.contains(id) || down(id));
        suspected.map(|(id, address)| (*id, address.clone())).collect()
    }

    pub(crate) fn journal(&self) -> MutexGuard<'_, Journal> {
        self.journal.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Enters what happened in the journal.
    pub(crate) fn note(&self, at: Timestamp, notes: Vec<Note>) {
        if !notes.is_empty() {
            self.journal().enter(at, notes);
            self.published(Part::Events);
        }
    }

    /// Tells those who wait that a part is newer.
    pub(crate) fn published(&self, part: Part) {
        self.versions.send_modify(|versions| versions.0[place(part)] += 1);
    }

    pub(crate) fn changes(&self) -> watch::Receiver<Versions> {
        self.versions.subscribe()
    }
}

/// How often each part was published.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Versions([u64; PARTS.len()]);

const PARTS: [Part; 6] =
    [Part::Cluster, Part::Offsets, Part::Groups, Part::Settings, Part::Clients, Part::Events];

fn place(part: Part) -> usize {
    PARTS.iter().position(|one| *one == part).unwrap_or_default()
}

impl Versions {
    /// The parts that are newer than in `before`.
    pub fn newer_than(&self, before: &Self) -> Vec<Part> {
        PARTS.into_iter().filter(|part| before.0[place(*part)] < self.0[place(*part)]).collect()
    }
}

/// What one collector saw last.
#[derive(Debug)]
pub(crate) struct Slot<T>(RwLock<Kept<T>>);

/// What was seen last, when, and why there is nothing newer.
#[derive(Debug)]
pub(crate) struct Kept<T> {
    /// Whether a look has ever ended, in whatever way.
    pub(crate) asked: bool,
    pub(crate) as_of: Option<Timestamp>,
    pub(crate) error: Option<String>,
    pub(crate) data: Option<Arc<T>>,
}

impl<T> Slot<T> {
    /// Nothing, because of `reason`.
    pub(crate) fn empty(reason: &str) -> Self {
        Self(RwLock::new(Kept {
            asked: false,
            as_of: None,
            error: Some(reason.to_owned()),
            data: None,
        }))
    }

    /// Publishes what was seen; with an error when not all of it is new.
    pub(crate) fn seen(&self, at: Timestamp, data: T, error: Option<String>) {
        let new = Kept { asked: true, as_of: Some(at), error, data: Some(Arc::new(data)) };
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = new;
    }

    /// Publishes that nothing was seen; what was seen before stays.
    pub(crate) fn failed(&self, error: String) {
        let mut kept = self.0.write().unwrap_or_else(PoisonError::into_inner);
        (kept.asked, kept.error) = (true, Some(error));
    }

    pub(crate) fn kept(&self) -> Kept<T> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl<T> Clone for Kept<T> {
    fn clone(&self) -> Self {
        let Self { asked, as_of, error, data } = self;
        Self { asked: *asked, as_of: *as_of, error: error.clone(), data: data.clone() }
    }
}

impl<T> Kept<T> {
    /// What is shown of it, with its age and error.
    pub(crate) fn panel<U>(&self, show: impl FnOnce(&T) -> U) -> Panel<U> {
        Panel { as_of: self.as_of, error: self.error.clone(), data: self.data.as_deref().map(show) }
    }
}
