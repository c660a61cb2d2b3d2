//! A producer that is measured: built, fed, drained and closed.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use kurier::{DeliveryProfile, MessageProducer, OutboxConfig, OutboxSync};
use tokio_util::sync::CancellationToken;

use super::figures::Spread;
use super::load::{Load, Sender, Until};
use super::meter::Meter;
use crate::args::{Delivery, Global};
use crate::commands::produce::{FOR_EVER, Patience};
use crate::commands::scratch::unique;
use crate::exit::Exit;
use crate::signals::Signals;

/// A producer with its meter.
pub(super) struct Producing<'a> {
    producer: MessageProducer,
    pub(super) meter: Arc<Meter>,
    outbox: Option<PathBuf>,
    stop: &'a CancellationToken,
    patience: Patience<'a>,
}

/// What its messages came to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Drained {
    pub(super) failed: u64,
    /// Accepted, and not delivered when there was no more patience.
    pub(super) undelivered: u64,
    denied: bool,
}

impl<'a> Producing<'a> {
    /// Builds it, for messages of `size` bytes.
    ///
    /// # Errors
    /// When the configuration is not right.
    pub(super) async fn new(
        size: usize,
        delivery: Delivery,
        outbox: Option<(&Path, OutboxSync)>,
        global: &Global,
        signals: &'a Signals,
    ) -> anyhow::Result<Self> {
        let mut builder = MessageProducer::builder(global.bootstrap()).delivery(match delivery {
            Delivery::Default => DeliveryProfile::Default,
            Delivery::OneInFlight => DeliveryProfile::OneInFlight,
        });
        builder.config_mut().client = global.client();
        let mut folder = None;
        if let Some((dir, sync)) = outbox {
            let dir = dir.join(unique("kurier-bench"));
            builder = builder.outbox(OutboxConfig::new(&dir).sync(sync));
            folder = Some(dir);
        }
        let on_their_way = builder.config_mut().memory_messages;
        let meter = Arc::new(Meter::new(size, on_their_way));
        let settling = Arc::clone(&meter);
        let health = builder.health();
        let producer = builder.on_delivery(move |report| settling.settle(report)).build().await?;
        let patience = Patience::new(signals, folder.is_some().then_some(health));
        Ok(Self { producer, meter, outbox: folder, stop: &signals.drain, patience })
    }

    /// Sends, and waits until everything has its outcome, or there is no more patience. Returns how much
    /// later than due messages were given to the producer.
    ///
    /// # Errors
    /// When nothing more can be sent.
    pub(super) async fn send(
        &self,
        (load, rate, topic): (&Load, Option<u64>, &str),
        until: Until,
    ) -> anyhow::Result<Option<Spread>> {
        let (producer, meter, has_outbox) = (&self.producer, &*self.meter, self.outbox.is_some());
        let sender = Sender { producer, topic, load, meter, rate, has_outbox };
        let sending = async {
            let delay = sender.send(until, self.stop).await?;
            // Should it not be over in time, closing says what is left.
            let _ = producer.flush(FOR_EVER).await;
            anyhow::Ok(delay)
        };
        tokio::select! {
            sent = sending => sent,
            () = self.patience.over() => Ok(None),
        }
    }

    /// librdkafka's settings.
    pub(super) fn properties(&self) -> std::collections::BTreeMap<String, String> {
        self.producer.effective_properties()
    }

    /// Closes it, and removes its outbox.
    pub(super) async fn close(self) -> Drained {
        let report = self.producer.close(Duration::ZERO).await;
        // Its threads, which have the folder, end with it.
        drop(self.producer);
        if let Some(outbox) = &self.outbox
            && let Err(error) = std::fs::remove_dir_all(outbox)
        {
            tracing::warn!("{} stays: {error}", outbox.display());
        }
        let failed = self.meter.figures().summary(Duration::ZERO).failed;
        let unsent = report.unsent.len() as u64;
        Drained {
            // What was given up at the end is in both.
            failed: failed.saturating_sub(unsent),
            undelivered: unsent + report.kept,
            denied: self.meter.is_denied(),
        }
    }
}

impl Drained {
    /// Says what is left, and gives the code, if there is something wrong.
    pub(super) fn exit(self) -> Option<Exit> {
        let Self { failed, undelivered, denied } = self;
        if 0 < undelivered {
            tracing::error!(undelivered, "incomplete: these messages were not acknowledged");
            return Some(Exit::Incomplete);
        }
        if 0 < failed {
            tracing::error!(failed, "these messages failed, and are in no figure");
        }
        match (denied, failed) {
            (true, _) => Some(Exit::Unauthorized),
            (false, 0) => None,
            (false, _) => Some(Exit::Failed),
        }
    }
}
