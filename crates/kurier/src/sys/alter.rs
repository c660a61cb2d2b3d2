//! Requests that change a topic that is there, and what became of them.

use std::ffi::CString;
use std::ptr;

use rdkafka::bindings as rd;
use rdkafka::producer::ProducerContext;

use super::admin::{Admin, Answer, Destroy, Fault, Options, c_string};
use super::answer::{all, fault, missing};
use super::{error_code, text};

/// What is to be changed of a topic.
#[derive(Debug)]
pub(crate) enum TopicChange<'a> {
    /// It has so many partitions from then on.
    Partitions { topic: &'a str, total: usize },
    /// Settings get a value, or with `None` the default; those not named stay as they are.
    Configs { topic: &'a str, changes: Vec<(&'a str, Option<&'a str>)> },
}

impl TopicChange<'_> {
    pub(super) fn op(&self) -> rd::rd_kafka_admin_op_t {
        use rd::rd_kafka_admin_op_t as Op;
        match self {
            Self::Partitions { .. } => Op::RD_KAFKA_ADMIN_OP_CREATEPARTITIONS,
            Self::Configs { .. } => Op::RD_KAFKA_ADMIN_OP_INCREMENTALALTERCONFIGS,
        }
    }
}

impl<C: ProducerContext> Admin<C> {
    pub(super) fn alter_topic(
        &self,
        options: &Options,
        change: &TopicChange<'_>,
    ) -> Result<(), Fault> {
        match change {
            TopicChange::Partitions { topic, total } => self.grow(options, topic, *total),
            TopicChange::Configs { topic, changes } => self.set_configs(options, topic, changes),
        }
    }

    fn grow(&self, options: &Options, topic: &str, total: usize) -> Result<(), Fault> {
        let topic = c_string(topic)?;
        let mut reason = [0; 256];
        // SAFETY: the client, its queue and the options are alive; the buffer is as long as said; what
        // is asked for is copied by the request and destroyed here.
        unsafe {
            let at = reason.as_mut_ptr();
            let wanted = rd::rd_kafka_NewPartitions_new(topic.as_ptr(), total, at, reason.len());
            if wanted.is_null() {
                return Err(Fault::invalid(text(at)));
            }
            let wanted = Destroy(wanted, rd::rd_kafka_NewPartitions_destroy);
            let mut all = [wanted.0];
            let (handle, queue) = (self.handle(), self.queue());
            rd::rd_kafka_CreatePartitions(handle, all.as_mut_ptr(), 1, options.0, queue);
        }
        Ok(())
    }

    fn set_configs(
        &self,
        options: &Options,
        topic: &str,
        changes: &[(&str, Option<&str>)],
    ) -> Result<(), Fault> {
        use rd::rd_kafka_AlterConfigOpType_t as How;
        let topic = c_string(topic)?;
        let changes = changes
            .iter()
            .map(|(name, value)| Ok((c_string(name)?, value.map(c_string).transpose()?)))
            .collect::<Result<Vec<(CString, Option<CString>)>, Fault>>()?;
        // SAFETY: as in `grow`; names and values are copied, and a value may be null where one is taken
        // away. An error is null when there is none, and destroyed here.
        unsafe {
            let kind = rd::rd_kafka_ResourceType_t::RD_KAFKA_RESOURCE_TOPIC;
            let resource = rd::rd_kafka_ConfigResource_new(kind, topic.as_ptr());
            if resource.is_null() {
                return Err(Fault::invalid("the topic's name is empty"));
            }
            let resource = Destroy(resource, rd::rd_kafka_ConfigResource_destroy);
            for (name, value) in &changes {
                let (how, value) = match value {
                    Some(value) => (How::RD_KAFKA_ALTER_CONFIG_OP_TYPE_SET, value.as_ptr()),
                    None => (How::RD_KAFKA_ALTER_CONFIG_OP_TYPE_DELETE, ptr::null()),
                };
                let name = name.as_ptr();
                let error = rd::rd_kafka_ConfigResource_add_incremental_config(
                    resource.0, name, how, value,
                );
                if let Some(fault) = fault(error) {
                    drop(Destroy(error, rd::rd_kafka_error_destroy));
                    return Err(fault);
                }
            }
            let mut all = [resource.0];
            let (handle, queue) = (self.handle(), self.queue());
            rd::rd_kafka_IncrementalAlterConfigs(handle, all.as_mut_ptr(), 1, options.0, queue);
        }
        Ok(())
    }
}

impl Answer {
    /// What became of the one topic whose settings were to be changed.
    pub(crate) fn configs_altered(&self) -> Result<(), Fault> {
        let mut count = 0;
        // SAFETY: the event is alive and owns all that is read. A result of another kind reads as null.
        let mut altered = unsafe {
            let result = rd::rd_kafka_event_IncrementalAlterConfigs_result(self.0.0.as_ptr());
            if result.is_null() {
                return Err(missing());
            }
            let resources =
                rd::rd_kafka_IncrementalAlterConfigs_result_resources(result, &mut count);
            all(resources, count, |resource| {
                match error_code(rd::rd_kafka_ConfigResource_error(resource)) {
                    None => Ok(()),
                    Some(code) => {
                        let reason = text(rd::rd_kafka_ConfigResource_error_string(resource));
                        Err(Fault { code, reason })
                    }
                }
            })
        };
        altered.pop().unwrap_or_else(|| Err(missing()))
    }
}
