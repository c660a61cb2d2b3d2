//! Making: what a message refuses before it exists, and what its parts are.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::*;

macro_rules! content {
    ($($(#[$attribute:meta])* struct $name:ident { $($(#[$of:meta])* $field:ident: $kind:ty),* $(,)? })+) => {
        $(
            #[derive(Debug, Serialize, Deserialize)]
            $(#[$attribute])*
            struct $name { $($(#[$of])* $field: $kind),* }

            impl Content for $name {}
        )+
    };
}

content! {
    struct Quake { depth_km: f64, felt: Option<Option<u8>>, places: Vec<f32> }
    struct Forgetful { kept: u8, #[serde(skip_serializing)] #[allow(dead_code, reason = "only written: that is what is wrong")] forgotten: u8 }
    struct Lossy { kept: u8, #[serde(skip, default)] #[allow(dead_code, reason = "as above")] forgotten: u8 }
    struct Rounded { #[serde(serialize_with = "in_tens")] value: u8 }
}

fn in_tens<S: serde::Serializer>(value: &u8, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u8(value / 10)
}

fn refused<T: Content>(content: T) -> (MessageError, String) {
    match Message::new(content) {
        Ok(message) => panic!("made {:?}", message.to_json()),
        Err(error) => {
            let text = error.to_string();
            (error, text)
        }
    }
}

fn quake() -> Quake {
    Quake { depth_km: 10.5, felt: Some(Some(3)), places: vec![1.5] }
}

#[test]
fn a_new_message_has_a_random_id_and_the_present_moment() {
    let before = Timestamp::now();
    let (one, other) = (Message::new("hello").unwrap(), Message::new("hello").unwrap());
    assert_eq!(one.id().get_version_num(), 4);
    assert_ne!(one.id(), other.id());
    let microsecond = jiff::SignedDuration::from_micros(1);
    assert!(before - microsecond <= one.timestamp() && one.timestamp() <= Timestamp::now());
    assert_eq!(one.timestamp().as_nanosecond() % 1000, 0);
}

#[test]
fn empty_content() {
    assert_eq!(refused(String::new()).1, "content: is empty, found \"\"");
    assert_eq!(refused(Value::Null).1, "content: is empty, found null");
    assert_eq!(refused(Value::String(String::new())).1, "content: is empty, found \"\"");
    Message::new(Vec::<u8>::new()).unwrap();
    Message::new(" ").unwrap();
}

#[test]
fn content_over_the_limit_is_measured_as_json() {
    let limits = MessageLimits { content_bytes_max: 9 };
    Message::new_within("hello\n", &limits).unwrap();
    Message::new_within("héllo", &MessageLimits { content_bytes_max: 8 }).unwrap();
    let error = Message::new_within("hello\n!", &limits).unwrap_err();
    assert_eq!(error, MessageError::ContentTooLarge { bytes: 10, bytes_max: 9 });
    let error = Message::new_within(vec![1_u8; 10], &limits).unwrap_err();
    assert_eq!(error, MessageError::ContentTooLarge { bytes: 21, bytes_max: 9 });
    let error = Message::new("x".repeat(CONTENT_BYTES_MAX_DEFAULT - 1)).unwrap_err();
    assert_eq!(error.field(), Field::Content);
    Message::new("x".repeat(CONTENT_BYTES_MAX_DEFAULT - 2)).unwrap();
}

#[test]
fn numbers_json_has_no_word_for() {
    let bad = |depth_km| Quake { depth_km, ..quake() };
    for (number, shown) in [(f64::NAN, "NaN"), (f64::INFINITY, "inf"), (f64::NEG_INFINITY, "-inf")]
    {
        let (error, text) = refused(bad(number));
        assert!(matches!(error, MessageError::ContentNotReadBack { .. }), "{text}");
        assert_eq!(
            text,
            format!(
                "content.depth_km: would not read back from JSON: it would become null, found {shown}"
            )
        );
    }
    assert_eq!(
        refused(Quake { places: vec![0.0, f32::NAN], ..quake() }).1,
        "content.places[1]: would not read back from JSON: it would become null, found NaN"
    );
    assert_eq!(
        refused(BTreeMap::from([("a".to_owned(), f64::NAN)])).1,
        "content[\"a\"]: would not read back from JSON: it would become null, found NaN"
    );
    refused(f64::NAN);
    for number in [0.1, -0.0, f64::MAX, f64::MIN_POSITIVE, 5e-324] {
        Message::new(bad(number)).unwrap();
    }
}

#[test]
fn some_of_nothing_would_become_nothing() {
    let (error, text) = refused(Quake { felt: Some(None), ..quake() });
    assert!(matches!(error, MessageError::ContentNotReadBack { .. }), "{text}");
    assert!(text.starts_with("content.felt: would not read back"), "{text}");
    Message::new(Quake { felt: None, ..quake() }).unwrap();
}

#[test]
fn types_that_do_not_read_what_they_write() {
    let (error, text) = refused(Forgetful { kept: 1, forgotten: 2 });
    assert!(matches!(error, MessageError::ContentNotReadBack { .. }), "{text}");
    assert!(text.contains("missing field `forgotten`"), "{text}");

    let (error, text) = refused(Rounded { value: 123 });
    assert!(matches!(error, MessageError::ContentNotReadBack { .. }), "{text}");
    assert!(text.contains("it would come back as {\"value\":1}"), "{text}");

    // Nobody can see from outside what serde was told to leave out.
    Message::new(Lossy { kept: 1, forgotten: 0 }).unwrap();
}

#[derive(Debug, Deserialize)]
struct Fails;

impl Serialize for Fails {
    fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        Err(serde::ser::Error::custom("the file is gone"))
    }
}

impl Content for Fails {}

#[derive(Debug, Serialize, Deserialize)]
struct Keyed(BTreeMap<(u8, u8), u8>);

impl Content for Keyed {}

#[test]
fn content_that_can_not_be_serialised() {
    let (error, text) = refused(Fails);
    assert!(matches!(error, MessageError::ContentNotSerialisable { .. }), "{text}");
    assert!(text.contains("the file is gone") && text.contains("Fails"), "{text}");
    let (error, text) = refused(Keyed([((1, 2), 3)].into()));
    assert!(matches!(error, MessageError::ContentNotSerialisable { .. }), "{text}");
    assert!(text.contains("key must be a string"), "{text}");
}

#[derive(Debug, Serialize, Deserialize)]
struct Even(u8);

impl Content for Even {
    fn validate(&self) -> Result<(), String> {
        if self.0.is_multiple_of(2) { Ok(()) } else { Err("not even".to_owned()) }
    }
}

#[test]
fn a_type_has_its_own_say_when_made_and_when_read() {
    assert_eq!(refused(Even(3)).1, "content: not even, found 3");
    assert_eq!(refused(vec![Even(2), Even(5)]).1, "content: [1]: not even, found [2,5]");
    assert_eq!(fault::<Even>(with_content("3")).to_string(), "content: not even, found 3");
    assert_eq!(read::<Even>(with_content("4")).unwrap().content().0, 4);
}

#[test]
fn nesting_as_deep_as_is_read_and_one_more() {
    let nested =
        |levels: usize| (0..levels).fold(Value::from(1), |inner, _| Value::from(vec![inner]));
    let message = Message::new(nested(127)).unwrap();
    let json = message.to_json().unwrap();
    assert_eq!(read::<Value>(json).unwrap(), message);
    let (error, text) = refused(nested(128));
    assert!(matches!(error, MessageError::ContentNotReadBack { .. }), "{text}");
    assert!(text.contains("nested too deep"), "{text}");
}

#[test]
fn a_moment_is_cut_to_microseconds_and_named_by_a_year_of_four_digits() {
    let message = Message::new("hello").unwrap();
    let at = Timestamp::from_nanosecond(-1).unwrap();
    let cut = message.clone().with_timestamp(at).unwrap().timestamp();
    assert_eq!(cut.as_nanosecond(), -1000);
    let error = message.clone().with_timestamp(Timestamp::MIN).unwrap_err();
    assert!(matches!(error, MessageError::BadTimestamp { .. }), "{error}");
    let last = message.with_timestamp(Timestamp::MAX).unwrap();
    assert_eq!(read::<String>(last.to_json().unwrap()).unwrap(), last);
}

#[test]
fn a_failed_write_leaves_the_buffer_as_it_was() {
    // Read as a number, written as NaN: only a type of its own can do that.
    #[derive(Debug, Deserialize)]
    struct Odd(#[allow(dead_code, reason = "only read")] u8);
    impl Serialize for Odd {
        fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.serialize_f64(f64::NAN)
        }
    }
    impl Content for Odd {}

    let message: Message<Odd> = read(with_content("7")).unwrap();
    let mut out = b"before".to_vec();
    message.write_json(&mut out).unwrap_err();
    assert_eq!(out, b"before");
}
