//! One line of the ledger, small, for a run has many. Names are numbers here; `names` and `messages`
//! say what they stand for.

use std::num::NonZeroU32;
use std::time::Duration;

use super::told::FailedDelivery;
use crate::Offset;

/// Something that was told, and when. Its place among all entries is its [`Seq`].
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry {
    pub(super) at: Duration,
    pub(super) what: What,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum What {
    Intended(MessageNo),
    Accepted(MessageNo),
    Refused(MessageNo),
    Delivered(MessageNo, Option<Place>),
    Failed(MessageNo, FailedDelivery),
    Assigned(MemberNo, PartitionNo),
    Revoked(MemberNo, PartitionNo),
    Lost(MemberNo, PartitionNo),
    Started { by: MemberNo, place: Place, attempt: Attempt },
    Handled { by: MemberNo, message: Option<MessageNo>, place: Option<Place> },
    Committed { by: MemberNo, next: Place },
    Note(NoteNo),
}

/// Whether the handler is called with a message for the first time by this ownership of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Attempt {
    First,
    Again,
}

/// A record's place, or the next one to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Place {
    pub(super) partition: PartitionNo,
    pub(super) offset: Offset,
}

impl What {
    /// The message, where the entry names one itself.
    pub(super) fn message(self) -> Option<MessageNo> {
        match self {
            Self::Intended(message)
            | Self::Accepted(message)
            | Self::Refused(message)
            | Self::Delivered(message, _)
            | Self::Failed(message, _) => Some(message),
            Self::Handled { message, .. } => message,
            _ => None,
        }
    }

    /// The record's place, where the entry names one.
    pub(super) fn place(self) -> Option<Place> {
        match self {
            Self::Delivered(_, place) | Self::Handled { place, .. } => place,
            Self::Started { place, .. } => Some(place),
            _ => None,
        }
    }
}

/// A number that names one of many, from 0; half as large as an index, also where it may be missing.
/// Saturates at 2^32 - 2.
macro_rules! number {
    ($($name:ident),+) => {$(
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub(super) struct $name(NonZeroU32);

        impl $name {
            pub(super) fn new(index: usize) -> Self {
                let index = u32::try_from(index).unwrap_or(u32::MAX);
                Self(NonZeroU32::MIN.saturating_add(index))
            }

            pub(super) fn index(self) -> usize {
                self.0.get() as usize - 1
            }
        }
    )+};
}

number!(Seq, MessageNo, PartitionNo, MemberNo, NoteNo);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_stays_as_small_as_the_documentation_of_the_ledger_says() {
        assert_eq!(size_of::<Entry>(), 48);
    }
}
