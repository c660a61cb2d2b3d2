//! `kurier dlq show`: one dead letter, with all that is known of it.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use anyhow::bail;
use kurier::{DeadLetter, Offset, PartitionId, Record, TopicPartition, TopicReader};
use serde_json::{Value, json};

use super::no_partition;
use crate::args::{Form, Global, Output, ShowArgs};
use crate::commands::{self, missing::explained};
use crate::exit::Exit;
use crate::output::{self, counted, known};
use crate::signals::Signals;

/// Shows it; one that is no dead letter of kurier's is shown too, and said to be none.
///
/// # Errors
/// When there is no record at that place, or it is not of the form that was asked for.
pub(super) async fn run(
    args: ShowArgs,
    global: &Global,
    signals: &Signals,
) -> anyhow::Result<Exit> {
    let ShowArgs { topic, place: (partition, offset), form } = args;
    let record = tokio::select! {
        record = read(&topic, partition, offset, global) => record?,
        () = signals.drain.cancelled() => return Ok(signals.exit()),
    };
    let letter = DeadLetter::read(record.clone());
    if let Err(error) = &letter {
        tracing::warn!("{error}");
    }
    let letter = letter.ok();
    match global.output {
        Output::Json => output::json(&as_json(&record, letter.as_ref(), form)?)?,
        Output::Table => output::bytes(&as_text(&record, letter.as_ref(), form)?)?,
    }
    Ok(signals.exit())
}

async fn read(
    topic: &str,
    partition: PartitionId,
    offset: Offset,
    global: &Global,
) -> anyhow::Result<Record> {
    let admin = commands::admin(global)?;
    let watermarks = explained(&admin, topic, admin.watermarks(topic).await).await;
    admin.close().await;
    let watermarks = watermarks?;
    let Some(marks) = watermarks.get(&partition) else {
        return Err(no_partition(topic, partition, watermarks.len()).into());
    };
    if !(marks.earliest..marks.end).contains(&offset) {
        let there = match marks.end.0 - 1 {
            last if last < marks.earliest.0 => "it is empty".to_owned(),
            last => format!("it has {} to {last}", marks.earliest),
        };
        bail!("{topic}[{partition}] has no offset {offset}: {there}");
    }
    let place = TopicPartition::new(topic, partition);
    let span = BTreeMap::from([(place, (offset, Some(offset.next())))]);
    let mut reader = TopicReader::read(&global.client(), span)?;
    let found = reader.next().await;
    reader.close().await;
    match found {
        Some(record) => Ok(record?),
        None => {
            bail!("{topic}[{partition}] has no record at offset {offset}: it is gone, or a marker")
        }
    }
}

/// A payload in the form that was asked for.
enum Payload {
    Null,
    Json(Value),
    Text(String),
    Hex,
}

fn payload(record: &Record, form: Form) -> anyhow::Result<Payload> {
    let Some(value) = record.value() else { return Ok(Payload::Null) };
    let text = std::str::from_utf8(value);
    Ok(match form {
        Form::Hex => Payload::Hex,
        Form::Text => Payload::Text(String::from_utf8_lossy(value).into_owned()),
        Form::Json => match serde_json::from_slice(value) {
            Ok(json) => Payload::Json(json),
            Err(error) => bail!("{}: not JSON: {error}; --as text shows it", record.position()),
        },
        Form::Auto => match (serde_json::from_slice(value), text) {
            (Ok(json), _) => Payload::Json(json),
            (Err(_), Ok(text)) => Payload::Text(text.to_owned()),
            (Err(_), Err(_)) => Payload::Hex,
        },
    })
}

fn as_json(record: &Record, letter: Option<&DeadLetter>, form: Form) -> anyhow::Result<Value> {
    let value = record.value().map(|value| &**value);
    let (form, payload) = match payload(record, form)? {
        Payload::Null => ("null", Value::Null),
        Payload::Json(json) => ("json", json),
        Payload::Text(text) => ("text", text.into()),
        Payload::Hex => ("hex", hex(value.unwrap_or_default()).into()),
    };
    let headers = record.headers().iter().map(|header| {
        let mut object = json!({ "key": header.name });
        output::put_bytes(&mut object, "value", header.value.as_deref());
        object
    });
    let mut object = json!({
        "topic": record.topic(), "partition": record.partition().0, "offset": record.offset().0,
        "timestamp": record.timestamp().map(|time| time.to_string()),
        "dead_letter": letter.map(described), "headers": headers.collect::<Vec<_>>(),
        "bytes": value.map(<[u8]>::len), "as": form, "payload": payload,
    });
    output::put_bytes(&mut object, "key", record.key().map(|key| &**key));
    Ok(object)
}

fn described(letter: &DeadLetter) -> Value {
    let partition = &letter.source.topic_partition;
    json!({
        "topic": &*partition.topic, "partition": partition.partition.0,
        "offset": letter.source.offset.0,
        "timestamp": letter.source_timestamp.map(|time| time.to_string()),
        "cause": letter.cause.as_str(), "error": letter.error, "attempts": letter.attempts,
        "first_failure": letter.first_failure.to_string(),
        "last_failure": letter.last_failure.to_string(),
        "group": letter.group, "hops": letter.hops,
    })
}

fn as_text(record: &Record, letter: Option<&DeadLetter>, form: Form) -> anyhow::Result<Vec<u8>> {
    let mut text = format!("{}\n", record.position());
    let mut row = |name: &str, value: &dyn std::fmt::Display| {
        let _ = writeln!(text, "{name:<14} {value}");
    };
    if let Some(letter) = letter {
        row("from", &letter.source);
        row("its time", &known(letter.source_timestamp));
        row("cause", &letter.cause);
        row("error", &output::flat(&letter.error));
        row("attempts", &letter.attempts);
        row("first failure", &letter.first_failure);
        row("last failure", &letter.last_failure);
        row("group", &letter.group);
        row("hops", &letter.hops);
    }
    row("written", &known(record.timestamp()));
    row("key", &quoted(record.key().map(|key| &**key)));
    for header in record.headers() {
        // They are in the rows above.
        if letter.is_none() || !header.name.starts_with("kurier.dlq.") {
            let (name, value) = (&header.name, quoted(header.value.as_deref()));
            row("header", &format_args!("{} = {value}", output::flat(name)));
        }
    }
    let value = record.value().map(|value| &**value).unwrap_or_default();
    let (form, shown) = match payload(record, form)? {
        Payload::Null => ("null", String::new()),
        Payload::Json(json) => ("JSON", format!("{json:#}\n")),
        Payload::Text(text) => ("text", ending(text)),
        Payload::Hex => ("hex", dump(value)),
    };
    row("payload", &format_args!("{}, {form}", counted(value.len(), "byte")));
    Ok(format!("{text}{shown}").into_bytes())
}

fn ending(mut text: String) -> String {
    if !text.ends_with('\n') {
        text.push('\n');
    }
    text
}

/// Text in quotes, other bytes as hex; `-` for none.
fn quoted(bytes: Option<&[u8]>) -> String {
    match bytes.map(|bytes| (std::str::from_utf8(bytes), bytes)) {
        None => "-".to_owned(),
        Some((Ok(text), _)) => format!("{text:?}"),
        Some((Err(_), bytes)) => format!("hex {}", hex(bytes)),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Sixteen bytes a line, with their place and what of them is text.
fn dump(bytes: &[u8]) -> String {
    let mut text = String::new();
    for (index, line) in bytes.chunks(16).enumerate() {
        let hex = line.iter().map(|byte| format!("{byte:02x} ")).collect::<String>();
        let shown = line.iter().map(|byte| match byte {
            b' '..=b'~' => char::from(*byte),
            _ => '.',
        });
        let shown = shown.collect::<String>();
        let _ = writeln!(text, "{:08x}  {hex:<48} |{shown}|", index * 16);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_dumped_sixteen_a_line() {
        let bytes: Vec<u8> = (b'A'..=b'Q').chain([0, 255]).collect();
        assert_eq!(
            dump(&bytes),
            "00000000  41 42 43 44 45 46 47 48 49 4a 4b 4c 4d 4e 4f 50  |ABCDEFGHIJKLMNOP|\n\
             00000010  51 00 ff                                         |Q..|\n"
        );
        assert_eq!(dump(&[]), "");
    }

    #[test]
    fn a_key_is_text_in_quotes_or_hex_or_none() {
        assert_eq!(quoted(None), "-");
        assert_eq!(quoted(Some(b"")), "\"\"");
        assert_eq!(quoted(Some("é\n".as_bytes())), "\"é\\n\"");
        assert_eq!(quoted(Some(&[0xc3, 0x28])), "hex c328");
    }
}
