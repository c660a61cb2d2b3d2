//! Reading: each fault is its own error, names the field and shows what was found.

use super::*;

/// What went wrong, as its variant and its text.
fn said(json: impl AsRef<[u8]>) -> (MessageError, String) {
    let error = fault::<String>(json);
    let text = error.to_string();
    (error, text)
}

#[test]
fn a_whole_message() {
    let message: Message = read(with_content("\"hello\"")).unwrap();
    assert_eq!(message.id().to_string(), ID);
    assert_eq!(message.content(), "hello");
    assert_eq!(message.timestamp().to_string(), "2026-11-23T21:59:58.123456Z");
    assert_eq!((message.key(), message.headers().len()), (None, 0));
    assert_eq!(message.to_json().unwrap(), with_content("\"hello\""));
}

#[test]
fn unknown_fields_order_and_white_space_do_not_matter() {
    let json = format!(
        " \r\n{{\"v\":1,\"timestamp\":\"{AT}\",\"x\":{{\"id\":7,\"y\":[null]}},\"content\":\"hello\",\t\"id\":\"{ID}\"}}\n"
    );
    assert_eq!(read::<String>(json).unwrap(), read(with_content("\"hello\"")).unwrap());
}

#[test]
fn names_and_values_may_be_escaped() {
    let json = with_content("\"hello\"")
        .replace("\"id\"", "\"\\u0069d\"")
        .replace("6f96", "\\u0036f96")
        .replace("21:59", "21\\u003a59");
    assert_eq!(read::<String>(json).unwrap(), read(with_content("\"hello\"")).unwrap());
}

#[test]
fn not_json() {
    for (json, expected) in [
        ("", "message: not JSON: EOF while parsing a value at line 1 column 0, found nothing"),
        ("hello", "message: not JSON: expected value at line 1 column 1, found hello"),
        (
            "{\"id\": ",
            "message: not JSON: EOF while parsing a value at line 1 column 7, found {\"id\": ",
        ),
        ("{} {}", "message: not JSON: trailing characters at line 1 column 4, found {} {}"),
        ("\u{feff}{}", "message: not JSON: expected value at line 1 column 1, found \\u{feff}{}"),
        (
            "{'id': 1}",
            "message: not JSON: key must be a string at line 1 column 2, found {'id': 1}",
        ),
        ("NaN", "message: not JSON: expected value at line 1 column 1, found NaN"),
    ] {
        let (error, text) = said(json);
        assert!(matches!(error, MessageError::NotJson { field: Field::Message, .. }), "{text}");
        assert_eq!(text, expected);
    }
    // Half of a surrogate pair: valid as JSON's grammar, but no text.
    let (error, text) = said(with_content(r#""\ud800""#));
    assert!(matches!(error, MessageError::NotJson { field: Field::Content, .. }), "{text}");
}

#[test]
fn not_utf8() {
    let (error, text) = said(b"{\"id\": \"caf\xe9\"}");
    let MessageError::NotUtf8 { field: Field::Message, valid_bytes: 11, .. } = error else {
        panic!("{text}");
    };
    assert_eq!(text, "message: not UTF-8 from byte 11 on, found {\"id\": \"caf\\xe9\"}");
}

#[test]
fn wrong_types() {
    for (json, field) in [
        ("[]".to_owned(), Field::Message),
        ("\"hello\"".to_owned(), Field::Message),
        ("null".to_owned(), Field::Message),
        (wire("7", "\"hello\"", &quoted(AT)), Field::Id),
        (wire("null", "\"hello\"", &quoted(AT)), Field::Id),
        (with_content("7"), Field::Content),
        (with_content("{\"a\": 1}"), Field::Content),
        (with_timestamp("1764016798"), Field::Timestamp),
        (with_timestamp("null"), Field::Timestamp),
        (with_timestamp("[\"2026-11-23T21:59:58Z\"]"), Field::Timestamp),
    ] {
        let (error, text) = said(&json);
        assert!(matches!(error, MessageError::WrongType { .. }), "{json}: {text}");
        assert_eq!(error.field(), field, "{json}: {text}");
        assert!(text.starts_with(&format!("{field}: wrong type: ")), "{text}");
    }
    assert!(said(with_content("{\"a\": 1}")).1.ends_with(", found {\"a\": 1}"));
}

#[test]
fn missing_fields() {
    for (json, field) in [
        ("{}".to_owned(), Field::Id),
        (with_content("\"hello\"").replace("\"id\"", "\"ID\""), Field::Id),
        (with_content("\"hello\"").replace("content", "contents"), Field::Content),
    ] {
        let (error, text) = said(&json);
        assert!(matches!(error, MessageError::MissingField { .. }), "{text}");
        assert_eq!(error.field(), field);
        assert!(text.starts_with(&format!("{field}: missing, found {{")), "{text}");
    }
    let (error, text) = said(with_content("\"hello\"").replace("timestamp", "time"));
    assert!(matches!(error, MessageError::MissingTimestamp { .. }), "{text}");
    assert!(text.starts_with("timestamp: missing, found {\"id\": "), "{text}");
}

#[test]
fn fields_given_twice() {
    for (field, json) in [("id", "7"), ("content", "\"b\""), ("timestamp", "null")] {
        let twice = with_content("\"a\"").replacen('{', &format!("{{\"{field}\": {json}, "), 1);
        let (error, text) = said(&twice);
        assert!(matches!(error, MessageError::DuplicateField { .. }), "{text}");
        assert!(text.starts_with(&format!("{field}: given twice, found ")), "{text}");
    }
}

#[test]
fn bad_ids() {
    for id in
        ["", "7", "6f9619ff-8b86-4011-b42d-00cf4fc964f", "6f9619ff-8b86-4011-b42d-00cf4fc964fg"]
    {
        let (error, text) = said(wire(&quoted(id), "\"hello\"", &quoted(AT)));
        assert!(matches!(error, MessageError::BadId { .. }), "{text}");
        assert!(text.starts_with("id: not a UUID: "), "{text}");
        assert!(text.ends_with(&format!("found \"{id}\"")), "{text}");
    }
    // Any version, and the forms uuid.UUID of Python takes.
    for id in [&ID.to_uppercase(), &ID.replace('-', ""), "00000000-0000-0000-0000-000000000000"] {
        read::<String>(wire(&quoted(id), "\"hello\"", &quoted(AT))).unwrap();
    }
}

#[test]
fn empty_and_large_content() {
    assert_eq!(said(with_content("\"\"")).1, "content: is empty, found \"\"");
    assert_eq!(
        fault::<serde_json::Value>(with_content("null")).to_string(),
        "content: is empty, found null"
    );
    assert_eq!(said(with_content("null")).1, "content: is empty, found null");

    let limits = MessageLimits { content_bytes_max: 7 };
    let read = |content: &str| {
        Message::<String>::from_json_within(with_content(content).as_bytes(), &limits)
    };
    read("\"hello\"").unwrap();
    let error = read("\"hello!\"").unwrap_err();
    assert_eq!(error, MessageError::ContentTooLarge { bytes: 8, bytes_max: 7 });
    assert_eq!(error.to_string(), "content: 8 bytes as JSON, at most 7 allowed");
}

#[test]
fn timestamps_that_are_read() {
    let utc = "2026-11-23T21:59:58.123456Z";
    for (text, expected) in [
        (AT, utc),
        (utc, utc),
        ("2026-11-23t21:59:58.123456z", utc),
        ("2026-11-23 21:59:58.123456+00:00", utc),
        ("2026-11-23T21:59:58.123456", utc),
        ("2026-11-23 21:59:58.123456", utc),
        ("2026-11-23T21:59:58.123456-00:00", utc),
        ("2026-11-24T00:59:58.123456+03:00", utc),
        ("2026-11-23T16:29:58.123456-05:30", utc),
        ("2026-11-23T21:59:58.123456999Z", utc),
        ("2026-11-23T21:59:58", "2026-11-23T21:59:58Z"),
        ("2026-11-23T21:59:58Z", "2026-11-23T21:59:58Z"),
        ("2026-11-23T21:59:58.1Z", "2026-11-23T21:59:58.1Z"),
        ("1969-12-31T23:59:59.9999999Z", "1969-12-31T23:59:59.999999Z"),
        ("0001-01-01T00:00:00", "0001-01-01T00:00:00Z"),
        ("9999-12-30T00:00:00", "9999-12-30T00:00:00Z"),
        ("2024-02-29T12:00:00+05:45:30", "2024-02-29T06:14:30Z"),
    ] {
        let message: Message = read(with_timestamp(&quoted(text))).unwrap();
        assert_eq!(message.timestamp().to_string(), expected, "{text}");
    }
}

#[test]
fn timestamps_that_are_not() {
    for text in [
        "",
        "now",
        "2026-11-23",
        "21:59:58",
        "20261123T215958Z",
        "2026-13-23T21:59:58Z",
        "2026-02-29T21:59:58Z",
        "2026-11-23T24:00:01Z",
        "2026-11-23T21:59:58+25:00",
        "2026-11-23T21:59:58+99:99",
        "2026-11-23T21:59:58[Europe/Berlin]",
        "2026-11-23T21:59:58+01:00[Europe/Berlin]",
        "2026-11-23T21:59:58Z and more",
        "+002026-11-23T21:59:58Z",
        "-000001-11-23T21:59:58Z",
        "0000-12-31T23:59:59Z",
        "0001-01-01T00:00:00+01:00",
        "1764016798",
        "2026-11-23T21:59:58.Z",
        "٢٠٢٦-11-23T21:59:58Z",
    ] {
        let (error, said) = said(with_timestamp(&quoted(text)));
        assert!(matches!(error, MessageError::BadTimestamp { .. }), "{said}");
        assert!(said.starts_with("timestamp: not a date and time (RFC 3339): "), "{said}");
        assert!(text.is_empty() || said.ends_with(&format!("found {text}")), "{said}");
    }
}

#[test]
fn what_was_found_stays_one_short_line() {
    let content = format!("[\"{}\u{202e}\\n\"]", "x".repeat(30));
    let (_, text) = said(with_content(&content));
    assert!(text.contains("\\u{202e}") && !text.contains('\u{202e}'), "{text}");

    let (_, text) = said(with_content(&format!("[\"{}\"]", "é".repeat(1000))));
    assert!(text.ends_with("… (2004 bytes)") && text.len() < 300, "{text}");

    let (_, text) = said("line one\nline two\u{1b}[2J");
    assert!(!text.contains(['\n', '\u{1b}']), "{text}");
}

#[test]
fn of_several_faults_the_first_in_order_is_told() {
    let all = wire("7", "\"\"", "\"now\"");
    assert_eq!(fault::<String>(all).field(), Field::Id);
    let two = wire(&quoted(ID), "\"\"", "\"now\"");
    assert_eq!(fault::<String>(two).field(), Field::Content);
}

#[test]
fn deep_nesting_is_an_error_and_no_overflow() {
    let deep = "[".repeat(100_000);
    for json in [deep.clone(), with_content(&deep), deep.clone() + &"]".repeat(100_000)] {
        let error = fault::<serde_json::Value>(&json);
        let expected =
            matches!(error, MessageError::NotJson { .. } | MessageError::WrongType { .. });
        assert!(expected, "{error}");
    }
    let ignored = with_content("\"a\"").replacen('{', &format!("{{\"x\": {deep}, "), 1);
    assert!(Message::<String>::from_json(ignored.as_bytes()).is_err());
}
