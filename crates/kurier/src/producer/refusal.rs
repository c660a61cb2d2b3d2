//! The end of a producer that the cluster does not let in, or does not let send: librdkafka would go on
//! trying for ever with the first, and another client would fare no better with either.

use std::time::Instant;

use rdkafka::error::RDKafkaErrorCode;
use rdkafka::producer::{Producer, PurgeConfig};

use super::error::NotAccepting;
use super::event::ProducerEvent;
use super::worker::{OnFatal, Worker};
use crate::{ClientError, sys};

impl Worker {
    /// Looks whether a denial has become final.
    pub(super) fn watch_access(&mut self) {
        if !self.access.in_doubt() || self.on_fatal == OnFatal::GaveUp {
            return;
        }
        if sys::was_reached(self.line.client.client()) {
            self.access.let_in();
        } else if let Some(denial) = self.access.verdict(Instant::now()) {
            let denial = denial.clone().looked_into(self.maker.settings());
            self.refuse(ClientError::Denied(denial));
        }
    }

    /// Says what may be set wrong, before the first answer; later it is a broker that restarts.
    pub(super) fn look_for_hints(&mut self) {
        let client = self.line.client.client();
        if let Some(hint) = client.context().hint()
            && !sys::was_reached(client)
        {
            self.silence.suspect(hint);
        }
    }

    /// Fails everything that was accepted, with this error, and accepts nothing any more.
    pub(super) fn refuse(&mut self, error: ClientError) {
        let reason = error.to_string();
        tracing::error!(reason, "the producer can't go on");
        self.on_fatal = OnFatal::GaveUp;
        self.refused = Some(error.clone());
        self.give_up(NotAccepting::Refused(error));
        self.line.client.purge(PurgeConfig::default().queue().inflight());
        self.on_event.tell(|| ProducerEvent::Fatal { reason });
    }
}

/// The code and the words for a message that failed because its producer was refused, if it did: what
/// librdkafka then says of it is that it was purged.
pub(super) fn explained(
    refused: Option<&ClientError>,
    code: RDKafkaErrorCode,
) -> Option<(RDKafkaErrorCode, String)> {
    use RDKafkaErrorCode as C;
    let why = match refused? {
        ClientError::Denied(denial) => denial.code(),
        ClientError::Unauthorized { code, .. } | ClientError::Kafka { code, .. } => *code,
        ClientError::Unreachable { .. } => return None,
    };
    let purged = matches!(code, C::PurgeQueue | C::PurgeInflight | C::Fatal);
    purged.then(|| (why, refused.map(ToString::to_string).unwrap_or_default()))
}
