//! Records in the forms that a page shows. *Pure.*

use std::fmt::Write as _;

use kurier::{Headers, Record};
use serde::de::IgnoredAny;

use crate::view::{Bytes, MessageRow};

/// Bytes of a text that are shown.
pub(super) const TEXT_MAX: usize = 16 << 10;
/// Bytes that are shown as hex.
pub(super) const HEX_MAX: usize = 1024;

/// A record as it is.
pub(super) fn message(record: &Record) -> MessageRow {
    MessageRow {
        partition: record.partition().0,
        offset: record.offset().0,
        timestamp: record.timestamp(),
        key: record.key().map(|key| forms(key)),
        value: record.value().map(|value| forms(value)),
        headers: headers(record.headers(), |_| true),
    }
}

/// Those headers whose name `is_shown`.
pub(super) fn headers(
    headers: &Headers,
    is_shown: impl Fn(&str) -> bool,
) -> Vec<(String, Option<Bytes>)> {
    let shown = headers.iter().filter(|header| is_shown(&header.name));
    shown.map(|header| (header.name.clone(), header.value.as_deref().map(forms))).collect()
}

/// Bytes in each of their forms.
pub(super) fn forms(bytes: &[u8]) -> Bytes {
    let whole = std::str::from_utf8(bytes).ok();
    let text = whole.map(beginning);
    let is_whole = text.is_some_and(|text| text.len() == bytes.len());
    let json = is_whole && serde_json::from_slice::<IgnoredAny>(bytes).is_ok();
    let shown = &bytes[..bytes.len().min(HEX_MAX)];
    let mut hex = String::with_capacity(2 * shown.len());
    for byte in shown {
        // A string takes all it is given.
        let _ = write!(hex, "{byte:02x}");
    }
    let cut = shown.len() < bytes.len() || text.is_some() && !is_whole;
    Bytes { length: bytes.len(), text: text.map(str::to_owned), json, hex, cut }
}

/// As much of a text as is shown.
pub(super) fn beginning(text: &str) -> &str {
    let ends = (0..=text.len().min(TEXT_MAX)).rev();
    let end = ends.into_iter().find(|end| text.is_char_boundary(*end));
    &text[..end.unwrap_or(0)]
}

/// What a record takes in an answer, in bytes, and a little more.
pub(super) fn weight(record: &Record) -> usize {
    /// The names of the fields, and figures.
    const FRAME: usize = 200;
    let of = |bytes: &[u8]| {
        let text = &bytes[..bytes.len().min(TEXT_MAX)];
        FRAME + in_json(text) + 2 * bytes.len().min(HEX_MAX)
    };
    let of_header = |header: &kurier::Header| {
        in_json(header.name.as_bytes()) + header.value.as_deref().map_or(FRAME, of)
    };
    let key_and_value = [record.key(), record.value()].into_iter().flatten().map(|bytes| of(bytes));
    FRAME + key_and_value.sum::<usize>() + record.headers().iter().map(of_header).sum::<usize>()
}

/// What a text takes in JSON, which has control characters as six.
pub(super) fn in_json(text: &[u8]) -> usize {
    let of = |byte: &u8| match byte {
        b'"' | b'\\' | b'\n' | b'\r' | b'\t' => 2,
        0x00..0x20 => 6,
        _ => 1,
    };
    text.iter().map(of).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use kurier::{Offset, PartitionId};

    #[test]
    fn bytes_have_the_forms_that_they_are() {
        for (bytes, text, json, hex, cut) in [
            (&b""[..], Some(""), false, "", false),
            (b"abc", Some("abc"), false, "616263", false),
            (
                b"{\"a\":[1,null]}",
                Some("{\"a\":[1,null]}"),
                true,
                "7b2261223a5b312c6e756c6c5d7d",
                false,
            ),
            (b"{\"a\":", Some("{\"a\":"), false, "7b2261223a", false),
            (b"12", Some("12"), true, "3132", false),
            (b"\x00\x1b[31m", Some("\x00\x1b[31m"), false, "001b5b33316d", false),
            (b"\xff\xfe", None, false, "fffe", false),
            (b"<script>", Some("<script>"), false, "3c7363726970743e", false),
        ] {
            let expected = Bytes {
                length: bytes.len(),
                text: text.map(str::to_owned),
                json,
                hex: hex.to_owned(),
                cut,
            };
            assert_eq!(forms(bytes), expected, "{bytes:?}");
        }
    }

    #[test]
    fn what_is_long_is_cut_between_characters_and_said_to_be() {
        let long = format!("a{}", "é".repeat(TEXT_MAX));
        let found = forms(long.as_bytes());
        assert_eq!((found.length, found.cut, found.json), (1 + 2 * TEXT_MAX, true, false));
        assert_eq!(found.text.map(|text| text.len()), Some(TEXT_MAX - 1), "no half character");
        assert_eq!(found.hex.len(), 2 * HEX_MAX);
        let json = format!("\"{}\"", "a".repeat(TEXT_MAX));
        assert!(!forms(json.as_bytes()).json, "a part of JSON is none");
        let hex_only = vec![0xff; HEX_MAX + 1];
        assert!(forms(&hex_only).cut);
        assert!(forms("a".repeat(HEX_MAX + 1).as_bytes()).cut, "its hex is");
        // Deeper than anybody reads.
        assert!(!forms("[".repeat(10_000).as_bytes()).json);
    }

    #[test]
    fn a_record_weighs_what_it_takes_and_no_more_than_is_shown() {
        let record = |value: Vec<u8>| {
            Record::new("orders", PartitionId(0), Offset(0)).with_key("k").with_value(value)
        };
        for (size, byte) in [0, 1, 1000, TEXT_MAX, 1 << 20]
            .map(|size| [(size, b'a'), (size, 0), (size, b'"')])
            .concat()
        {
            let record = record(vec![byte; size]);
            let taken = serde_json::to_vec(&message(&record)).expect("JSON").len();
            let weight = weight(&record);
            assert!(taken <= weight && weight <= taken + 1000, "{size}: {taken} weighs {weight}");
        }
    }
}
