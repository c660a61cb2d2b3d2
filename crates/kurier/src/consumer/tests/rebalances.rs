//! Partitions that move while messages flow.

use super::*;
