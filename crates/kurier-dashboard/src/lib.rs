//! The dashboard of kurier: what a Kafka cluster, its groups and kurier's own clients do.
//!
//! One collector per concern asks the cluster, each within its own deadline, and publishes what it saw as
//! an immutable snapshot. Pages and `/api/v1/…` read snapshots and never wait for Kafka, so that they
//! answer at once whatever is dead; each part says how old it is, and why it is not newer.
//!
//! ```text
//!  Kafka ◀─ collect ─▶ snapshots ─▶ judge, changes (pure) ─▶ view ─▶ http ─▶ page, /api/v1, /metrics
//! ```

mod dashboard;
mod exporter;
mod http;
mod scrape;
pub mod view;
mod watch;

pub use dashboard::{Dashboard, DashboardBuilder, StartError};
pub use http::{Bound, Waits, bounds};
pub use watch::{Pace, Versions, Watch, WatchConfig};
