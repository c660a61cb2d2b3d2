//! Limits and times of the group coordinator, with Kafka's names for them.

use std::time::Duration;

/// Limits and times of the group coordinator.
///
/// A plain struct: change what you need of [`GroupSettings::default`]. The driver owns the checks of
/// values that came from a user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupSettings {
    /// Shortest session timeout a member may ask for (`group.min.session.timeout.ms`); a shorter one
    /// is answered `INVALID_SESSION_TIMEOUT`. Default 6 s.
    pub session_timeout_min: Duration,
    /// Longest session timeout a member may ask for (`group.max.session.timeout.ms`). Default 30 min.
    pub session_timeout_max: Duration,
    /// How long the first rebalance of an empty group waits for more members
    /// (`group.initial.rebalance.delay.ms`), extended while new ones come, up to the rebalance
    /// timeout. Default 0, where Kafka has 3 s.
    pub initial_rebalance_delay: Duration,
    /// How long the first rebalance of an empty group waits, beyond the delay, for members that were
    /// just told their id and must come back with it. Kafka does not wait for them. With it, members
    /// that start together share their first generation even without a delay; one that never comes
    /// back costs the others this long, once. Default 250 ms.
    pub pending_member_grace: Duration,
    /// How long a member that never was in a generation may wait for its first join to be answered.
    /// Default 5 min, as in Kafka.
    pub new_member_join_timeout: Duration,
    /// How long offsets are kept after the group became empty, or after the last commit of a
    /// partition when the group never had members (`offsets.retention.minutes`). Default 7 days.
    pub offsets_retention: Duration,
    /// How often expired offsets and forgotten groups are looked for
    /// (`offsets.retention.check.interval.ms`). Default 10 min.
    pub offsets_retention_check_interval: Duration,
    /// Longest metadata of one committed offset, in characters (`offset.metadata.max.bytes`); longer
    /// is answered `OFFSET_METADATA_TOO_LARGE`. Default 4096.
    pub offset_metadata_chars_max: usize,
    /// Most groups. At the bound a join is answered `GROUP_MAX_SIZE_REACHED` and a commit
    /// `INVALID_COMMIT_OFFSET_SIZE`. Default 10,000.
    pub groups_max: usize,
    /// Most members of a group (`group.max.size`), and most that were told an id and did not come
    /// back yet. At the bound a join is answered `GROUP_MAX_SIZE_REACHED`. Default 1,000.
    pub group_members_max: usize,
    /// Most bytes kept for all groups together: ids, member metadata, assignments, offsets. At the
    /// bound a join is answered `GROUP_MAX_SIZE_REACHED`, a leader's assignment
    /// `MESSAGE_TOO_LARGE`, a commit `INVALID_COMMIT_OFFSET_SIZE`. Default 64 MiB.
    pub bytes_max: usize,
    /// Where new member ids start. Two coordinators with the same seed make the same ids, so a
    /// restarted cluster must not repeat it. Default: random.
    pub member_id_seed: u64,
}

impl Default for GroupSettings {
    fn default() -> Self {
        Self {
            session_timeout_min: Duration::from_secs(6),
            session_timeout_max: Duration::from_secs(30 * 60),
            initial_rebalance_delay: Duration::ZERO,
            pending_member_grace: Duration::from_millis(250),
            new_member_join_timeout: Duration::from_secs(5 * 60),
            offsets_retention: Duration::from_secs(7 * 24 * 60 * 60),
            offsets_retention_check_interval: Duration::from_secs(10 * 60),
            offset_metadata_chars_max: 4096,
            groups_max: 10_000,
            group_members_max: 1_000,
            bytes_max: 64 << 20,
            member_id_seed: uuid::Uuid::new_v4().as_u64_pair().0,
        }
    }
}
