//! The cast: the cluster, the producer, the instances of the consumers, and what can be done to them.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use kurier::{
    Admin, BatchMessageConsumer, ClientConfig, ClientError, ConsumeError, ConsumeReport, Context,
    Failure, Message, MessageDecoder, Monitor, Received, SingleMessageConsumer,
};
use kurier_broker::EmbeddedCluster;
use serde_json::Value;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::sender::Sender;
use super::story::Story;
use super::window::Window;
use super::witness::{BATCH, SINGLE, Witness};
use super::{Demo, Named, audit};
use crate::commands::scratch::Scratch;
use crate::output::counted;

/// Everybody who takes part.
pub struct Stage {
    cluster: Option<EmbeddedCluster>,
    bootstrap: String,
    topic: String,
    groups: Groups,
    /// The topic on the user's cluster, to be deleted in the end.
    borrowed: Option<Admin>,
    keep: bool,
    monitor: Monitor,
    window: Option<Window>,
    witness: Arc<Witness>,
    consumers: Vec<Instance>,
    started: usize,
    sending: Option<Sending>,
    kills: u64,
}

struct Groups {
    single: String,
    batch: String,
}

struct Sending {
    stop: CancellationToken,
    task: JoinHandle<(Sender, anyhow::Result<()>)>,
}

struct Instance {
    name: String,
    single: bool,
    shutdown: CancellationToken,
    run: JoinHandle<Result<ConsumeReport, ConsumeError>>,
}

const NODES: u16 = 3;
const PARTITIONS: u32 = 3;

impl Stage {
    /// Sets the stage: cluster, topic, two single consumers and a batch consumer, and the producer,
    /// which begins to send.
    ///
    /// # Errors
    /// When a part of it cannot be had.
    pub async fn set(
        demo: &Demo,
        story: &Arc<Story>,
        witness: &Arc<Witness>,
    ) -> anyhow::Result<Self> {
        let mut stage = match &demo.cluster {
            None => Self::embedded(story, witness).await?,
            Some(named) => Self::borrowed(named, demo.patience, story, witness).await?,
        };
        stage.keep = demo.keep;
        stage.window = Window::open(&demo.dashboard, &stage.bootstrap, &stage.monitor).await?;
        if let Some(window) = &stage.window {
            story.tell(&format!("the dashboard is at http://{}", window.address()));
        }
        for _ in 0..2 {
            stage.join(story)?;
        }
        stage.join_batch(story)?;
        let sender = if demo.control {
            story.tell("the control: a producer with acks=1, as many are set up");
            Sender::careless(&stage.bootstrap, Arc::clone(witness))?
        } else {
            Sender::safe(&stage.bootstrap, &stage.monitor, Arc::clone(story), Arc::clone(witness))
                .await?
        };
        story.tell("the producer sends 2,000 earthquakes a second, keyed by network, and one thing that is none");
        stage.send(sender);
        Ok(stage)
    }

    async fn embedded(story: &Story, witness: &Arc<Witness>) -> anyhow::Result<Self> {
        let topic = "python-topic";
        let partitions = i32::try_from(PARTITIONS)?;
        let cluster =
            EmbeddedCluster::builder().nodes(NODES).topic(topic, partitions).start().await?;
        let bootstrap = cluster.bootstrap();
        story.tell(&format!("an embedded cluster of {NODES} nodes listens on {bootstrap}"));
        story.tell(&format!(
            "topic {topic}: {PARTITIONS} partitions, {NODES} replicas, 2 must be in sync"
        ));
        let groups = Groups {
            single: "single_message_group_1".to_owned(),
            batch: "batch_message_group_1".to_owned(),
        };
        Ok(Self::new(Some(cluster), None, bootstrap, topic.to_owned(), groups, witness))
    }

    async fn borrowed(
        Named { bootstrap, by }: &Named,
        patience: Duration,
        story: &Story,
        witness: &Arc<Witness>,
    ) -> anyhow::Result<Self> {
        if let Some(by) = by {
            story.tell(&format!(
                "on your cluster {bootstrap}, which {by} names; where none is named there is an embedded one"
            ));
        }
        let admin = Admin::connect(&ClientConfig::new(bootstrap.as_str()))?.with_timeout(patience);
        let Scratch { topic, replicas } = Scratch::make(&admin, "kurier-demo", PARTITIONS).await?;
        story.tell(&format!(
            "topic {topic} on {bootstrap}: {PARTITIONS} partitions, {replicas} replicas"
        ));
        story.tell("stop and start your brokers as you like; the verdict comes in the end");
        let groups = Groups { single: format!("{topic}-single"), batch: format!("{topic}-batch") };
        Ok(Self::new(None, Some(admin), bootstrap.clone(), topic, groups, witness))
    }

    fn new(
        cluster: Option<EmbeddedCluster>,
        borrowed: Option<Admin>,
        bootstrap: String,
        topic: String,
        groups: Groups,
        witness: &Arc<Witness>,
    ) -> Self {
        Self {
            cluster,
            bootstrap,
            topic,
            groups,
            borrowed,
            keep: false,
            monitor: Monitor::default(),
            window: None,
            witness: Arc::clone(witness),
            consumers: Vec::new(),
            started: 0,
            sending: None,
            kills: 0,
        }
    }

    fn send(&mut self, sender: Sender) {
        let stop = CancellationToken::new();
        let (stopped, topic, witness) =
            (stop.clone(), self.topic.clone(), Arc::clone(&self.witness));
        let task = tokio::spawn(async move {
            let sent = sender.run(&topic, &witness, &stopped).await;
            (sender, sent)
        });
        self.sending = Some(Sending { stop, task });
    }

    /// One more instance of the single consumer.
    ///
    /// # Errors
    /// Never yet; a consumer's configuration is checked when it runs.
    pub fn join(&mut self, story: &Story) -> anyhow::Result<()> {
        self.started += 1;
        let name = format!("single-{}", self.started);
        story.tell(&format!("{name} joins group {}", self.groups.single));
        let (witness, saw) = (Arc::clone(&self.witness), Arc::clone(&self.witness));
        let handler = move |message: Arc<Received<Message<Value>>>, _: Context| {
            witness.given(&message);
            std::future::ready(earthquake(&message))
        };
        let (shutdown, instance) = (CancellationToken::new(), name.clone());
        let run = SingleMessageConsumer::builder(&self.bootstrap, self.topic.as_str())
            .group(&self.groups.single)
            .instance(&name)
            .decoder(MessageDecoder::<Value>::default())
            .on_event(move |event| saw.saw(SINGLE, &instance, event))
            .dead_letter(self.letters())
            .create_dead_letter(true)
            .monitor(&self.monitor)
            .run(handler, shutdown.clone());
        self.consumers.push(Instance { name, single: true, shutdown, run: tokio::spawn(run) });
        Ok(())
    }

    fn join_batch(&mut self, story: &Story) -> anyhow::Result<()> {
        let name = "batch-1".to_owned();
        story.tell(&format!("{name} joins group {}", self.groups.batch));
        let (witness, saw) = (Arc::clone(&self.witness), Arc::clone(&self.witness));
        let handler = move |batch: Arc<kurier::Batch<Message<Value>>>, _: Context| {
            batch.items().iter().for_each(|received| witness.given(received));
            std::future::ready(Ok::<_, Failure>(batch.outcomes(earthquake)))
        };
        let (shutdown, instance) = (CancellationToken::new(), name.clone());
        let run = BatchMessageConsumer::builder(&self.bootstrap, self.topic.as_str())
            .group(&self.groups.batch)
            .instance(&name)
            .decoder(MessageDecoder::<Value>::default())
            .on_event(move |event| saw.saw(BATCH, &instance, event))
            .dead_letter(self.letters())
            .create_dead_letter(true)
            .monitor(&self.monitor)
            .run(handler, shutdown.clone());
        self.consumers.push(Instance { name, single: false, shutdown, run: tokio::spawn(run) });
        Ok(())
    }

    /// The first instance of the single consumer finishes what it has, commits, and leaves.
    pub async fn leave(&mut self, story: &Story) {
        if let Some(index) = self.consumers.iter().position(|instance| instance.single) {
            let instance = self.consumers.remove(index);
            story.tell(&format!("{} is stopped", instance.name));
            instance.end(Duration::from_secs(30)).await;
        }
    }

    /// Kills a node of the embedded cluster.
    ///
    /// # Errors
    /// When it is down.
    pub async fn kill(&mut self, node: i32, story: &Story) -> anyhow::Result<()> {
        let Some(cluster) = &self.cluster else { return Ok(()) };
        let leads = cluster.info().nodes.iter().find(|it| it.node == node).map_or(0, |it| it.leads);
        cluster.kill(node).await?;
        self.kills += 1;
        let led = counted(leads, "partition");
        story.tell(&format!("node {node} is KILLED: its sockets die; it led {led}"));
        Ok(())
    }

    /// Starts a node of the embedded cluster.
    ///
    /// # Errors
    /// When it is up, or its port is gone.
    pub async fn start(&mut self, node: i32, story: &Story) -> anyhow::Result<()> {
        let Some(cluster) = &self.cluster else { return Ok(()) };
        cluster.start(node).await?;
        story.tell(&format!("node {node} is started again, catches up, and leads again"));
        Ok(())
    }

    /// Replicas on all nodes but `node` stop following, or follow again.
    ///
    /// # Errors
    /// Never, with nodes that are there.
    pub async fn freeze_others(
        &mut self,
        node: i32,
        frozen: bool,
        story: &Story,
    ) -> anyhow::Result<()> {
        let Some(cluster) = &self.cluster else { return Ok(()) };
        for other in (1..=i32::from(NODES)).filter(|other| *other != node) {
            if frozen { cluster.freeze(other).await? } else { cluster.thaw(other).await? }
        }
        let what = if frozen { "stop following" } else { "follow again" };
        story.tell(&format!("the control: replicas on all nodes but {node} {what}"));
        Ok(())
    }

    /// No more messages; waits for the outcomes of those that were sent.
    pub async fn finish_sending(&mut self, patience: Duration) {
        let Some(Sending { stop, task }) = self.sending.take() else { return };
        stop.cancel();
        match task.await {
            Ok((sender, sent)) => {
                if let Err(error) = sent.context("the producer stopped early") {
                    tracing::error!("{error:#}");
                }
                sender.close(patience).await;
            }
            Err(error) => tracing::error!(%error, "the producer's task failed"),
        }
    }

    /// What came of it: so many messages were lost.
    pub fn judged(&self, lost: u64) {
        if let Some(window) = &self.window {
            window.judged(lost);
        }
    }

    /// How many nodes were killed.
    pub fn kills(&self) -> u64 {
        self.kills
    }

    /// Every consumer finishes what it has, commits, and leaves.
    pub async fn close_consumers(&mut self, patience: Duration) {
        for instance in &self.consumers {
            instance.shutdown.cancel();
        }
        for instance in self.consumers.drain(..) {
            instance.end(patience).await;
        }
    }

    /// Reads what the topic holds, and enters it.
    ///
    /// # Errors
    /// When it can't be read.
    pub async fn audit(&self, story: &Story) -> anyhow::Result<()> {
        let found = audit::read(&self.bootstrap, &self.topic).await?;
        story.tell(&format!(
            "the topic is read again, in no group: it holds {} records",
            found.len()
        ));
        self.witness.audited(&self.topic, found);
        let letters = audit::letters(&self.bootstrap, &self.letters()).await?;
        story.tell(&format!("{} holds {}", self.letters(), counted(letters.len(), "dead letter")));
        let kind = |group: &str| if group == self.groups.single { SINGLE } else { BATCH };
        let places = letters.into_iter().map(|it| (kind(&it.group).to_owned(), it.source));
        self.witness.letters_found(places.collect());
        Ok(())
    }

    /// The dead-letter topic of both groups.
    fn letters(&self) -> String {
        format!("{}.dlq", self.topic)
    }

    /// Leaves everything as it is: an embedded cluster and its dashboard go on until interrupted.
    pub async fn keep(&self, story: &Story, interrupted: &CancellationToken) {
        let (topic, bootstrap) = (&self.topic, &self.bootstrap);
        if self.cluster.is_some() {
            let stays = self.window.as_ref().map_or("stays", |_| "and its dashboard stay");
            story.tell(&format!("the cluster {stays}: {bootstrap}, topic {topic}; Ctrl-C ends it"));
            interrupted.cancelled().await;
        } else {
            story.tell(&format!("topic {topic} stays on {bootstrap}"));
        }
    }

    /// The cluster closes; a topic on the user's cluster is deleted, unless it is to be kept.
    pub async fn close(self) {
        let topics = [self.topic.clone(), self.letters()];
        if let Some(window) = self.window {
            window.close().await;
        }
        if let Some(admin) = self.borrowed {
            if !self.keep {
                for topic in topics {
                    let deleted: Result<(), ClientError> = admin.delete_topic(&topic).await;
                    if let Err(error) = deleted {
                        tracing::warn!(%error, topic, "the topic stays");
                    }
                }
            }
            admin.close().await;
        }
        if let Some(cluster) = self.cluster {
            cluster.close().await;
        }
    }
}

/// Handles an earthquake, which is not much work, and rejects what is none.
fn earthquake(message: &Received<Message<Value>>) -> Result<(), Failure> {
    match message.value().map(Message::content) {
        Some(Value::Object(_)) => Ok(()),
        _ => Err(Failure::reject("no earthquake")),
    }
}

impl Instance {
    async fn end(self, patience: Duration) {
        self.shutdown.cancel();
        // The consumer has its own deadline for closing; this one is for a consumer that breaks it.
        match tokio::time::timeout(patience + Duration::from_secs(60), self.run).await {
            Ok(Ok(Ok(_))) => {}
            Ok(Ok(Err(error))) => tracing::error!(%error, instance = self.name, "did not run"),
            Ok(Err(error)) => tracing::error!(%error, instance = self.name, "broke down"),
            Err(_) => tracing::error!(instance = self.name, "did not close"),
        }
    }
}
