//! A topic: its partitions, and the settings of Kafka's that it honours.

use uuid::Uuid;

use crate::storage::Partition;

/// One topic.
#[derive(Debug)]
pub struct Topic {
    /// Its id, new with each creation.
    pub id: Uuid,
    /// Replicas of each partition.
    pub replicas: usize,
    /// How far the first partition's preferred leader is from the first node.
    pub shift: usize,
    /// What its creator set.
    pub settings: TopicSettings,
    /// Its partitions by number.
    pub partitions: Vec<Partition>,
}

/// What a topic's creator may set, by Kafka's names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicSettings {
    /// `min.insync.replicas`; default 1, as Kafka's.
    pub min_in_sync: usize,
    /// `max.message.bytes`; default 1,048,588, as Kafka's.
    pub batch_bytes_max: usize,
    /// `retention.bytes`; default the cluster's own bound.
    pub bytes_max: Option<usize>,
    /// `unclean.leader.election.enable`; default false.
    pub unclean_election: bool,
}

impl Default for TopicSettings {
    fn default() -> Self {
        Self {
            min_in_sync: 1,
            batch_bytes_max: 1_048_588,
            bytes_max: None,
            unclean_election: false,
        }
    }
}

/// Why a topic cannot be made or changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TopicError {
    /// A name that Kafka does not take.
    #[error(
        "{0:?} is no topic name: 1 to 249 characters of a-z, A-Z, 0-9, '.', '_', '-', and not '.' or '..'"
    )]
    Name(String),
    /// There is one of that name.
    #[error("the topic exists")]
    Exists,
    /// There is none of that name.
    #[error("the topic does not exist")]
    Unknown,
    /// More replicas than nodes, or none.
    #[error("{found} replicas asked for, {live} nodes are up")]
    Replicas {
        /// Replicas asked for.
        found: usize,
        /// Nodes that are up.
        live: usize,
    },
    /// No partitions, or more than there is room for.
    #[error("{found} partitions asked for: at least 1, and there is room for {room} more")]
    Partitions {
        /// Partitions asked for.
        found: usize,
        /// Partitions that there is room for.
        room: usize,
    },
    /// Partitions are never taken away.
    #[error("the topic has {present} partitions already, and can only get more")]
    Fewer {
        /// Partitions it has.
        present: usize,
    },
    /// A setting that is not honoured here, or a value that is none.
    #[error("{name}={value}: {reason}")]
    Setting {
        /// Kafka's name.
        name: String,
        /// What was asked for.
        value: String,
        /// Why not.
        reason: &'static str,
    },
}

impl Topic {
    /// Whether Kafka takes this name.
    ///
    /// # Errors
    /// When it does not.
    pub fn check_name(name: &str) -> Result<(), TopicError> {
        let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        let dots = matches!(name, "." | "..");
        if (1..=249).contains(&name.len()) && name.bytes().all(legal) && !dots {
            Ok(())
        } else {
            Err(TopicError::Name(name.chars().take(300).collect()))
        }
    }
}

impl TopicSettings {
    /// Takes one of Kafka's topic settings.
    ///
    /// # Errors
    /// When it is not honoured here, or its value makes no sense. Settings whose only value here is
    /// Kafka's default (`cleanup.policy=delete`, …) are taken with that value.
    pub fn set(&mut self, name: &str, value: &str) -> Result<(), TopicError> {
        let refused = |reason| {
            let (name, value) = (name.to_owned(), value.chars().take(200).collect());
            TopicError::Setting { name, value, reason }
        };
        let number = || value.parse::<usize>().map_err(|_| refused("a whole number is expected"));
        match name {
            "min.insync.replicas" => self.min_in_sync = number()?,
            "max.message.bytes" => self.batch_bytes_max = number()?,
            "retention.bytes" if value == "-1" => self.bytes_max = None,
            "retention.bytes" => self.bytes_max = Some(number()?),
            "unclean.leader.election.enable" => {
                self.unclean_election =
                    value.parse().map_err(|_| refused("true or false is expected"))?;
            }
            _ => match FIXED.iter().find(|(fixed, _)| *fixed == name) {
                Some((_, only)) if *only == value => {}
                Some(_) => {
                    return Err(refused("only the default is possible in an embedded cluster"));
                }
                None => return Err(refused("not a topic setting of an embedded cluster")),
            },
        }
        Ok(())
    }

    /// Whether these settings fit that many replicas.
    ///
    /// # Errors
    /// When more replicas must be in sync than there are.
    pub fn check(&self, replicas: usize) -> Result<(), TopicError> {
        if (1..=replicas).contains(&self.min_in_sync) {
            return Ok(());
        }
        Err(TopicError::Setting {
            name: "min.insync.replicas".to_owned(),
            value: self.min_in_sync.to_string(),
            reason: "at least 1, and not more than the topic has replicas",
        })
    }

    /// Every setting with its value, and whether it is Kafka's default.
    pub fn list(&self) -> Vec<(&'static str, String, bool)> {
        let default = Self::default();
        let bytes = |max: Option<usize>| max.map_or("-1".to_owned(), |max| max.to_string());
        let mut all = vec![
            (
                "min.insync.replicas",
                self.min_in_sync.to_string(),
                self.min_in_sync == default.min_in_sync,
            ),
            (
                "max.message.bytes",
                self.batch_bytes_max.to_string(),
                self.batch_bytes_max == default.batch_bytes_max,
            ),
            ("retention.bytes", bytes(self.bytes_max), self.bytes_max.is_none()),
            (
                "unclean.leader.election.enable",
                self.unclean_election.to_string(),
                !self.unclean_election,
            ),
        ];
        all.extend(FIXED.iter().map(|(name, value)| (*name, (*value).to_owned(), true)));
        all.sort();
        all
    }
}

/// Settings that have one value here: Kafka's default. (`retention.ms`: nothing goes by age in memory.)
const FIXED: &[(&str, &str)] = &[
    ("cleanup.policy", "delete"),
    ("compression.type", "producer"),
    ("message.timestamp.type", "CreateTime"),
    ("retention.ms", "-1"),
];
