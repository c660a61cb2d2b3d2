//! What is wrong with a partition, by what the brokers say of it. Pure.

use kurier::{ConfigEntry, PartitionDescription};

/// Something that is wrong with a partition, the worst first. The same as the filters of Kafka's own
/// `kafka-topics`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Ailment {
    /// It has no leader: nobody can read or write.
    Offline,
    /// Fewer replicas are in sync than `min.insync.replicas`: writes with acks=all are refused.
    UnderMinIsr,
    /// Not all replicas are in sync: it stands one failure closer to the above.
    UnderReplicated,
}

impl Ailment {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Offline, Self::UnderMinIsr, Self::UnderReplicated];

    /// For people.
    pub fn name(self) -> &'static str {
        match self {
            Self::Offline => "offline",
            Self::UnderMinIsr => "under min ISR",
            Self::UnderReplicated => "under-replicated",
        }
    }

    /// For programs.
    pub fn field(self) -> &'static str {
        match self {
            Self::Offline => "offline",
            Self::UnderMinIsr => "under_min_isr",
            Self::UnderReplicated => "under_replicated",
        }
    }

    /// Whether a partition has it.
    pub fn is_of(self, partition: &PartitionDescription, min_isr: Option<usize>) -> bool {
        let in_sync = partition.isr.len();
        match self {
            Self::Offline => partition.leader.is_none(),
            Self::UnderMinIsr => min_isr.is_some_and(|min| in_sync < min),
            Self::UnderReplicated => in_sync < partition.replicas.len(),
        }
    }
}

/// `min.insync.replicas` among a topic's settings, where it is shown.
pub fn min_isr(configs: &[ConfigEntry]) -> Option<usize> {
    let found = configs.iter().find(|config| config.name == "min.insync.replicas")?;
    found.value.as_ref()?.parse().ok()
}
