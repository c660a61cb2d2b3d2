//! How what was seen is shown: from snapshots to what the API answers. *Pure.*

mod groups;
mod overview;
mod rows;
mod topics;

pub(super) use groups::{COLUMNS as GROUP_COLUMNS, group, groups};
pub(super) use overview::{brokers, cluster, lag, traffic};
pub(super) use rows::Order;
pub(super) use topics::{COLUMNS as TOPIC_COLUMNS, TopicParts, dead_letter_topics, topic, topics};

#[cfg(test)]
mod tests;
