//! Groups without members: their offsets set to something else, and the groups deleted.
//!
//! This is the operator's hand, not a consumer's: what is committed here is no account of what was handled.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rdkafka::error::RDKafkaErrorCode;

use super::Admin;
use super::groups::{attempt, coordinator_missing};
use crate::sys::{self, Answer, Fault};
use crate::{ClientError, Offset, TopicPartition};

impl Admin {
    /// Sets where a group goes on: for each partition the next offset to read. Partitions that are not
    /// named keep their offset. A group that is not there is made by it.
    ///
    /// Only a group without members can be set (the coordinator sees to that, also when one joins just
    /// now). Nothing checks that an offset lies within its partition's log. The request is repeated until
    /// the timeout while errors pass, since setting an offset twice changes nothing.
    ///
    /// # Errors
    /// [`ClientError`] for the request, with the code `UnknownMemberId` for a group that has members;
    /// and one for each partition whose offset was not set.
    pub async fn set_group_offsets(
        &self,
        group: &str,
        offsets: &BTreeMap<TopicPartition, Offset>,
    ) -> Result<BTreeMap<TopicPartition, Result<(), ClientError>>, ClientError> {
        if offsets.is_empty() {
            return Ok(BTreeMap::new());
        }
        let doing = format!("set the offsets of group {group}");
        let begun = Arc::new(self.begun(group).await?);
        let wanted: Vec<_> =
            offsets.iter().map(|(partition, offset)| (partition.clone(), *offset)).collect();
        let passes = |code| ClientError::from_code("", code, "").is_retriable();
        let read = |answer: &Answer| {
            let set = answer.offsets_set()?;
            let failed =
                |(_, result): &(_, Result<_, RDKafkaErrorCode>)| result.as_ref().err().copied();
            let of_group = |code: &RDKafkaErrorCode| {
                passes(*code) || *code == RDKafkaErrorCode::UnknownMemberId
            };
            match set.iter().find_map(|one| failed(one).filter(of_group)) {
                Some(code) => Err(has_members(Fault::of(code))),
                None => Ok(set),
            }
        };
        let ask = |left| {
            let (wanted, begun) = (wanted.clone(), Arc::clone(&begun));
            let asked = move |client: &_, group: &_| {
                let note = |topic: &str| begun.note(topic);
                sys::set_offsets(client, group, &wanted, note, attempt(left))
            };
            async move {
                let answer = self.calls.of_group(group, asked).await;
                answer.and_then(|answer| read(&answer)).map_err(coordinator_missing)
            }
        };
        let set = self.until(self.deadline(), &doing, ask, ClientError::is_retriable).await?;
        let set = set.into_iter().map(|(partition, result)| {
            let fault = |code| self.error(&format!("{doing} in {partition}"), Fault::of(code));
            let result = result.map(|_| ()).map_err(fault);
            (partition, result)
        });
        Ok(set.collect())
    }

    /// Deletes a group and all it has committed. The request is repeated until the timeout while errors
    /// pass; a group that is gone after one of them counts as deleted.
    ///
    /// # Errors
    /// [`ClientError::Kafka`] with the code `NonEmptyGroup` for one that has members, `GroupIdNotFound`
    /// for one that is not there.
    pub async fn delete_group(&self, group: &str) -> Result<(), ClientError> {
        let doing = format!("delete group {group}");
        let maybe_gone = AtomicBool::new(false);
        let ask = |left| {
            let asked =
                move |client: &_, group: &_| sys::delete_group(client, group, attempt(left));
            async move {
                let answer = self.calls.of_group(group, asked).await;
                answer.and_then(|answer| answer.group_deleted()).map_err(coordinator_missing)
            }
        };
        let again = |error: &ClientError| {
            maybe_gone.fetch_or(error.may_have_been_applied(), Ordering::Relaxed);
            error.is_retriable()
        };
        match self.until(self.deadline(), &doing, ask, again).await {
            Err(error) if error.is_unknown_group() && maybe_gone.load(Ordering::Relaxed) => Ok(()),
            deleted => deleted,
        }
    }
}

/// Says what the code means here: whoever is no member is only heard while there are none.
fn has_members(fault: Fault) -> Fault {
    match fault.code {
        RDKafkaErrorCode::UnknownMemberId => {
            Fault { reason: "the group has members".to_owned(), ..fault }
        }
        _ => fault,
    }
}
