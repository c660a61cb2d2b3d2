//! `kurier topic tail`: prints what comes, and commits nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use kurier::{
    Decoder, JsonDecoder, MessageDecoder, RawDecoder, Received, Record, TextDecoder, TopicReader,
};
use serde_json::value::RawValue;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use super::line::{self, Show};
use crate::args::Decode;
use crate::exit::Exit;
use crate::output;
use crate::signals::Signals;

/// Prints until the reader ends or a signal comes.
///
/// # Errors
/// When the topic can't be read any more, or nobody reads what is printed.
pub async fn run(reader: TopicReader, decode: Decode, signals: &Signals) -> anyhow::Result<Exit> {
    let (runtime, drain) = (Handle::current(), signals.drain.clone());
    let unreadable = Arc::new(AtomicU64::new(0));
    let tail = Tail { line: Vec::new(), unreadable: Arc::clone(&unreadable) };
    // A write waits for whoever reads; that must not keep the command from ending.
    let unread = output::nobody_reads();
    let printing = print_all(tail, reader, decode, drain);
    let printing = tokio::task::spawn_blocking(move || runtime.block_on(printing));
    let stuck = async {
        signals.drain.cancelled().await;
        tokio::time::sleep(LAST_WRITE).await;
    };
    tokio::select! {
        printed = printing => match printed? {
            Err(error) if output::is_of_unread(&error) => {}
            printed => printed?,
        },
        () = stuck => {}
        // Without this it would be noticed at the next message, which may never come.
        () = unread => {}
    }
    let failed = 0 < unreadable.load(Ordering::Relaxed);
    Ok(if failed { Exit::Failed } else { signals.exit() })
}

/// What a write that is under way gets after a signal.
const LAST_WRITE: Duration = Duration::from_secs(2);

async fn print_all(
    mut tail: Tail,
    mut reader: TopicReader,
    decode: Decode,
    drain: CancellationToken,
) -> anyhow::Result<()> {
    loop {
        let record = tokio::select! {
            biased;
            () = drain.cancelled() => break,
            record = reader.next() => record,
        };
        let Some(record) = record else { break };
        let record = record?;
        match decode {
            Decode::Message => tail.print(&MessageDecoder::<Box<RawValue>>::default(), record)?,
            Decode::Json => tail.print(&JsonDecoder::<Box<RawValue>>::default(), record)?,
            Decode::Text => tail.print(&TextDecoder, record)?,
            Decode::Raw => tail.print(&RawDecoder, record)?,
        }
    }
    reader.close().await;
    Ok(())
}

struct Tail {
    line: Vec<u8>,
    /// Counted where it is known also when printing is given up.
    unreadable: Arc<AtomicU64>,
}

impl Tail {
    /// One that can't be read is said to be so, and shown as bytes: nothing is decided by a look.
    fn print<D: Decoder<Item: Show>>(&mut self, decoder: &D, record: Record) -> anyhow::Result<()> {
        self.line.clear();
        match Received::decode(decoder, record.clone()) {
            Ok(received) => line::write(&mut self.line, &received)?,
            Err(error) => {
                self.unreadable.fetch_add(1, Ordering::Relaxed);
                tracing::error!("{error}");
                let value = record.value().cloned();
                line::write(&mut self.line, &Received::new(record, value))?;
            }
        }
        Ok(output::bytes(&self.line)?)
    }
}
