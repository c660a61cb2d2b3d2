//! Kafka's settings, as far as they mean something in an embedded cluster: those that are honoured, and
//! those of which one value is true here. DescribeConfigs shows them, CreateTopics and the
//! requests that alter take those of topics, and whatever is not listed is refused.

mod broker;
mod topic;

pub use broker::broker_settings;
pub use topic::TopicSettings;

/// A setting as DescribeConfigs shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// Kafka's name.
    pub name: &'static str,
    /// What holds.
    pub value: String,
    /// Where that comes from.
    pub source: Source,
    /// What kind of value it is.
    pub kind: Kind,
    /// Whether it can't be changed.
    pub fixed: bool,
    /// What it means, in a sentence.
    pub about: &'static str,
    /// Everything that was said about it, the strongest first.
    pub synonyms: Vec<Synonym>,
}

/// One of the things said about a setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Synonym {
    /// The name under which.
    pub name: &'static str,
    /// What.
    pub value: String,
    /// By whom.
    pub source: Source,
}

/// Where a value comes from, by the numbers of DescribeConfigs (`ConfigSource` in Apache Kafka).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// The topic's creator, or who altered it.
    Topic = 1,
    /// The cluster's builder.
    Broker = 4,
    /// Kafka's own default.
    Default = 5,
}

/// The kind of a value, by the numbers of DescribeConfigs (`ConfigType` in Apache Kafka).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `true` or `false`.
    Boolean = 1,
    /// Text.
    Text = 2,
    /// A whole number of 32 bits.
    Int = 3,
    /// A whole number of 64 bits.
    Long = 5,
    /// Texts with commas between.
    List = 7,
}

#[cfg(test)]
mod tests;
