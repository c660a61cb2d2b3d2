//! librdkafka's admin requests: asked without waiting, answered on one queue.
//!
//! Owns how a request is put and how its answer is found again (by its ticket). What answers say is
//! read in `answer`; who waits for them is the admin client's business.

use std::ffi::{CString, c_char, c_void};
use std::fmt;
use std::ptr;
use std::time::Duration;

use rdkafka::TopicPartitionList;
use rdkafka::bindings as rd;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseProducer, Producer, ProducerContext};

use super::alter::TopicChange;
use super::{Event, Queue, error_code, text};
use crate::admin::NodeId;
use crate::ids::TopicPartition;

/// What can be asked.
#[derive(Debug)]
pub(crate) enum Request<'a> {
    CreateTopic {
        name: &'a str,
        /// -1: the broker's default; here and below.
        partitions: i32,
        replication: i32,
        configs: Vec<(&'a str, &'a str)>,
    },
    DeleteTopic(&'a str),
    AlterTopic(&'a TopicChange<'a>),
    /// Settings of topics, asked of the controller; with a broker, its own too, asked of itself.
    Settings {
        broker: Option<NodeId>,
        topics: &'a [&'a str],
    },
    ListGroups,
    /// Offsets by a moment in milliseconds, or by one of the special values of `ListOffsets`.
    Offsets(&'a [(TopicPartition, i64)]),
}

/// An error as librdkafka gives it.
#[derive(Debug, Clone)]
pub(crate) struct Fault {
    pub(crate) code: RDKafkaErrorCode,
    pub(crate) reason: String,
}

impl Fault {
    /// With the text librdkafka has for the code: "Broker: Unknown topic or partition".
    pub(crate) fn of(code: RDKafkaErrorCode) -> Self {
        let (text, name) = (code.to_string(), format!("{code:?} ("));
        let reason = text.strip_prefix(&name).and_then(|text| text.strip_suffix(')'));
        Self { code, reason: reason.unwrap_or(&text).to_owned() }
    }

    pub(super) fn invalid(reason: impl Into<String>) -> Self {
        Self { code: RDKafkaErrorCode::InvalidArgument, reason: reason.into() }
    }
}

/// What came out of the queue.
#[derive(Debug)]
pub(crate) enum Came {
    /// The answer to the request of this ticket.
    Answer(usize, Answer),
    /// An event without a ticket, already given to the context.
    Told,
    /// Nothing, within the time or until [`Admin::wake`].
    Nothing,
}

/// An answer, not yet read.
pub(crate) struct Answer(pub(super) Event);

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Answer").field(&self.0.kind()).finish()
    }
}

// SAFETY: an event is owned by whoever holds it; librdkafka ties it to no thread.
unsafe impl Send for Answer {}

/// A client and the queue its answers, errors and logs arrive on.
pub(crate) struct Admin<C: ProducerContext> {
    /// Before the client: a queue is destroyed while its client lives.
    queue: Queue,
    client: BaseProducer<C>,
}

// SAFETY: librdkafka's queues may be used from any thread at once.
unsafe impl<C: ProducerContext> Sync for Admin<C> {}

impl<C: ProducerContext + 'static> fmt::Debug for Admin<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Admin").finish_non_exhaustive()
    }
}

impl<C: ProducerContext> Admin<C> {
    /// Takes over all that arrives for `client`.
    pub(crate) fn new(client: BaseProducer<C>) -> Self {
        let handle = client.client().native_ptr();
        // SAFETY: the client is alive; the reference to the main queue is given back at once. The
        // main queue holds a reference to the one it is forwarded to.
        let queue = unsafe {
            let queue = Queue::new(rd::rd_kafka_queue_new(handle));
            let main = Queue::new(rd::rd_kafka_queue_get_main(handle));
            rd::rd_kafka_queue_forward(main.0.as_ptr(), queue.0.as_ptr());
            queue
        };
        Self { queue, client }
    }

    /// The client.
    pub(crate) fn client(&self) -> &BaseProducer<C> {
        &self.client
    }

    /// Asks. Exactly one answer with this ticket arrives, within `timeout` and a little.
    ///
    /// # Errors
    /// When the request can't be put at all; no answer follows then.
    pub(crate) fn ask(
        &self,
        ticket: usize,
        request: &Request<'_>,
        timeout: Duration,
    ) -> Result<(), Fault> {
        use rd::rd_kafka_admin_op_t as Op;
        let op = match request {
            Request::CreateTopic { .. } => Op::RD_KAFKA_ADMIN_OP_CREATETOPICS,
            Request::DeleteTopic(_) => Op::RD_KAFKA_ADMIN_OP_DELETETOPICS,
            Request::AlterTopic(change) => change.op(),
            Request::Settings { .. } => Op::RD_KAFKA_ADMIN_OP_DESCRIBECONFIGS,
            Request::ListGroups => Op::RD_KAFKA_ADMIN_OP_LISTCONSUMERGROUPS,
            Request::Offsets(_) => Op::RD_KAFKA_ADMIN_OP_LISTOFFSETS,
        };
        // SAFETY: the client is alive; the opaque is a number to us.
        let options = unsafe {
            let options = Options::new(self.handle(), op, timeout)?;
            rd::rd_kafka_AdminOptions_set_opaque(options.0, ticket as *mut c_void);
            options
        };
        match request {
            Request::CreateTopic { name, partitions, replication, configs } => {
                self.create_topic(&options, name, (*partitions, *replication), configs)
            }
            Request::DeleteTopic(name) => self.delete_topic(&options, name),
            Request::AlterTopic(change) => self.alter_topic(&options, change),
            Request::Settings { broker, topics } => self.settings(&options, *broker, topics),
            Request::ListGroups => {
                // SAFETY: client, options and queue are alive.
                unsafe { rd::rd_kafka_ListConsumerGroups(self.handle(), options.0, self.queue()) };
                Ok(())
            }
            Request::Offsets(specs) => self.offsets(&options, specs),
        }
    }

    /// Waits at most `timeout` for what comes next; errors and logs are given to the context.
    pub(crate) fn next(&self, timeout: Duration) -> Came {
        let Some(event) = self.queue.poll(timeout) else { return Came::Nothing };
        let context = self.client.client().context().as_ref();
        match event.kind() {
            rd::RD_KAFKA_EVENT_LOG => event.log(context),
            rd::RD_KAFKA_EVENT_ERROR => {
                let (code, reason) = event.error();
                context.error(KafkaError::Global(code), &reason);
            }
            rd::RD_KAFKA_EVENT_STATS => event.statistics(context),
            rd::RD_KAFKA_EVENT_DR | rd::RD_KAFKA_EVENT_NONE => {}
            _ => {
                // SAFETY: the event is alive; the opaque is a number to us.
                let ticket = unsafe { rd::rd_kafka_event_opaque(event.0.as_ptr()) } as usize;
                return Came::Answer(ticket, Answer(event));
            }
        }
        Came::Told
    }

    /// Ends a wait in [`next`](Self::next) at once.
    pub(crate) fn wake(&self) {
        // SAFETY: the queue is alive.
        unsafe { rd::rd_kafka_queue_yield(self.queue()) }
    }

    pub(super) fn handle(&self) -> *mut rd::rd_kafka_t {
        self.client.client().native_ptr()
    }

    pub(super) fn queue(&self) -> *mut rd::rd_kafka_queue_t {
        self.queue.0.as_ptr()
    }

    fn create_topic(
        &self,
        options: &Options,
        name: &str,
        (partitions, replication): (i32, i32),
        configs: &[(&str, &str)],
    ) -> Result<(), Fault> {
        let name = c_string(name)?;
        let configs = configs
            .iter()
            .map(|(name, value)| Ok((c_string(name)?, c_string(value)?)))
            .collect::<Result<Vec<_>, Fault>>()?;
        let mut reason = [0; 256];
        // SAFETY: names and values are copied; the buffer is as long as said; the topic is destroyed
        // on both ways out and copied by the request.
        unsafe {
            let at: *mut c_char = reason.as_mut_ptr();
            let topic =
                rd::rd_kafka_NewTopic_new(name.as_ptr(), partitions, replication, at, reason.len());
            if topic.is_null() {
                return Err(Fault::invalid(text(at)));
            }
            let topic = Destroy(topic, rd::rd_kafka_NewTopic_destroy);
            for (name, value) in &configs {
                let set = rd::rd_kafka_NewTopic_set_config(topic.0, name.as_ptr(), value.as_ptr());
                if let Some(code) = error_code(set) {
                    return Err(Fault { code, reason: "a setting was refused".to_owned() });
                }
            }
            let mut topics = [topic.0];
            let (handle, queue) = (self.handle(), self.queue());
            rd::rd_kafka_CreateTopics(handle, topics.as_mut_ptr(), 1, options.0, queue);
        }
        Ok(())
    }

    fn delete_topic(&self, options: &Options, name: &str) -> Result<(), Fault> {
        let name = c_string(name)?;
        // SAFETY: as in `ask`; the topic is copied by the request and destroyed here.
        unsafe {
            let topic = rd::rd_kafka_DeleteTopic_new(name.as_ptr());
            let topic = Destroy(topic, rd::rd_kafka_DeleteTopic_destroy);
            let mut topics = [topic.0];
            let (handle, queue) = (self.handle(), self.queue());
            rd::rd_kafka_DeleteTopics(handle, topics.as_mut_ptr(), 1, options.0, queue);
        }
        Ok(())
    }

    fn settings(
        &self,
        options: &Options,
        broker: Option<NodeId>,
        topics: &[&str],
    ) -> Result<(), Fault> {
        use rd::rd_kafka_ResourceType_t::{RD_KAFKA_RESOURCE_BROKER, RD_KAFKA_RESOURCE_TOPIC};
        let broker = broker.map(|id| (RD_KAFKA_RESOURCE_BROKER, id.to_string()));
        let topics = topics.iter().map(|&name| (RD_KAFKA_RESOURCE_TOPIC, name.to_owned()));
        let resources = topics.chain(broker).map(|(kind, name)| {
            let name = c_string(&name)?;
            // SAFETY: the name is copied; null for an empty one.
            let resource = unsafe { rd::rd_kafka_ConfigResource_new(kind, name.as_ptr()) };
            if resource.is_null() {
                return Err(Fault::invalid("the topic's name is empty"));
            }
            Ok(Destroy(resource, rd::rd_kafka_ConfigResource_destroy))
        });
        let resources = resources.collect::<Result<Vec<_>, Fault>>()?;
        let mut asked: Vec<_> = resources.iter().map(|resource| resource.0).collect();
        // SAFETY: as in `ask`; the resources are copied by the request and destroyed here.
        unsafe {
            let (handle, queue) = (self.handle(), self.queue());
            let (resources, count) = (asked.as_mut_ptr(), asked.len());
            rd::rd_kafka_DescribeConfigs(handle, resources, count, options.0, queue);
        }
        Ok(())
    }

    fn offsets(&self, options: &Options, specs: &[(TopicPartition, i64)]) -> Result<(), Fault> {
        let mut list = TopicPartitionList::with_capacity(specs.len());
        for (TopicPartition { topic, partition }, _) in specs {
            if topic.contains('\0') {
                return Err(Fault::invalid("a NUL character in a name"));
            }
            list.add_partition(topic, partition.0);
        }
        for (at, (_, spec)) in specs.iter().enumerate() {
            // SAFETY: the list has an element for each that was added. rdkafka has no name for some specs.
            unsafe { (*(*list.ptr()).elems.add(at)).offset = *spec }
        }
        // SAFETY: as in `ask`; the list is copied by the request.
        unsafe { rd::rd_kafka_ListOffsets(self.handle(), list.ptr(), options.0, self.queue()) };
        Ok(())
    }
}

/// The answers that still come find the queue gone and are freed; the main queue's reference to it
/// is given back first.
impl<C: ProducerContext> Drop for Admin<C> {
    fn drop(&mut self) {
        // SAFETY: the client is alive; the reference to the main queue is given back at once.
        unsafe {
            let main = Queue::new(rd::rd_kafka_queue_get_main(self.handle()));
            rd::rd_kafka_queue_forward(main.0.as_ptr(), ptr::null_mut());
        }
    }
}

/// Options of one request, destroyed when dropped.
pub(super) struct Options(pub(super) *mut rd::rd_kafka_AdminOptions_t);

impl Options {
    /// # Errors
    /// When librdkafka has no such request.
    ///
    /// # Safety
    /// `client` is alive.
    pub(super) unsafe fn new(
        client: *mut rd::rd_kafka_t,
        op: rd::rd_kafka_admin_op_t,
        timeout: Duration,
    ) -> Result<Self, Fault> {
        use rd::rd_kafka_admin_op_t as Op;
        // librdkafka's range for both is 0 (or 1) to an hour.
        let millis = i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX).clamp(1, 3_600_000);
        let mut reason = [0; 256];
        let at = reason.as_mut_ptr();
        // SAFETY: the caller's; the buffer is as long as said; options are destroyed when dropped.
        unsafe {
            let options = Self(rd::rd_kafka_AdminOptions_new(client, op));
            if options.0.is_null() {
                return Err(Fault::invalid("no such request"));
            }
            let mut set =
                rd::rd_kafka_AdminOptions_set_request_timeout(options.0, millis, at, reason.len());
            let changes = [
                Op::RD_KAFKA_ADMIN_OP_CREATETOPICS,
                Op::RD_KAFKA_ADMIN_OP_DELETETOPICS,
                Op::RD_KAFKA_ADMIN_OP_CREATEPARTITIONS,
            ];
            if error_code(set).is_none() && changes.contains(&op) {
                // How long the broker may take; after it, it answers that it goes on.
                set = rd::rd_kafka_AdminOptions_set_operation_timeout(
                    options.0,
                    millis,
                    at,
                    reason.len(),
                );
            }
            match error_code(set) {
                None => Ok(options),
                Some(code) => Err(Fault { code, reason: text(at) }),
            }
        }
    }
}

impl Options {
    /// For a request to a group's coordinator, by a client that ends with it, whose answer is waited for
    /// with a limit of our own. librdkafka's own never comes: where it comes before a coordinator is found,
    /// and one is found then, librdkafka ends the process (2.12.1, `rd_kafka_admin_coord_request`; its
    /// issue 4605).
    ///
    /// # Errors
    /// As [`new`](Self::new).
    ///
    /// # Safety
    /// `client` is alive.
    pub(super) unsafe fn of_coordinator(
        client: *mut rd::rd_kafka_t,
        op: rd::rd_kafka_admin_op_t,
    ) -> Result<Self, Fault> {
        const LONGEST: Duration = Duration::from_secs(3_600);
        // SAFETY: the caller's.
        unsafe { Self::new(client, op, LONGEST) }
    }
}

impl Drop for Options {
    fn drop(&mut self) {
        if !self.0.is_null() {
            // SAFETY: they were given to us and are destroyed once.
            unsafe { rd::rd_kafka_AdminOptions_destroy(self.0) }
        }
    }
}

/// Something of librdkafka's, not null, with the function that destroys it.
pub(super) struct Destroy<T>(pub(super) *mut T, pub(super) unsafe extern "C" fn(*mut T));

impl<T> Drop for Destroy<T> {
    fn drop(&mut self) {
        // SAFETY: made with the function that belongs to it, and destroyed once.
        unsafe { (self.1)(self.0) }
    }
}

pub(super) fn c_string(text: &str) -> Result<CString, Fault> {
    CString::new(text).map_err(|_| Fault::invalid("a NUL character in a name or value"))
}
