//! Lines made by Python's standard library, kept as a file so that no Python is needed here. They come
//! from `tests/interop/message_json.py make`; the same script checks what we write.

use serde_json::Value;

use super::*;

/// One object a line: `made_by` says how, `line` is the message, and the rest what it must read as.
const GOLDEN: &str = include_str!("../../../tests/data/python.ndjson");

#[test]
fn every_line_reads_as_python_meant_it() {
    let mut kinds = std::collections::BTreeMap::<String, usize>::new();
    for golden in GOLDEN.lines() {
        let golden: Value = serde_json::from_str(golden).unwrap();
        let text = |name: &str| golden[name].as_str().unwrap().to_owned();
        let message: Message<Value> = read(text("line")).unwrap();
        assert_eq!(message.id().to_string(), text("id"));
        assert_eq!(message.content(), &golden["content"]);
        let microseconds = golden["microseconds"].as_i64().unwrap();
        assert_eq!(message.timestamp().as_microsecond(), microseconds, "{golden}");
        // Python's own form of the same moment is what we write.
        let written = message.to_json().unwrap();
        assert!(written.contains(&text("isoformat")), "{written}: {golden}");
        *kinds.entry(text("made_by")).or_default() += 1;
    }
    assert_eq!(kinds.len(), 3, "naive, UTC and with an offset: {kinds:?}");
    assert!(kinds.values().all(|&lines| 10 <= lines), "{kinds:?}");
}
