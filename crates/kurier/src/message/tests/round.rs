//! There and back again, whatever the parts are; and bytes of any kind end in an answer.

use proptest::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::*;

/// JSON of any shape, floats and large numbers included.
fn json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 48, 6, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            proptest::collection::btree_map(any::<String>(), inner, 0..6)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

/// Any moment a message can have.
fn moment() -> impl Strategy<Value = Timestamp> {
    let nanoseconds = -62_135_596_800_000_000_000_i128..=Timestamp::MAX.as_nanosecond();
    nanoseconds.prop_map(|nanosecond| Timestamp::from_nanosecond(nanosecond).unwrap())
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
enum Kind {
    Plain,
    With(f32),
    Named { a: Option<char>, b: (i128, u8) },
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Order {
    number: u64,
    price: f64,
    note: Option<String>,
    kinds: Vec<Kind>,
}

impl Content for Order {}

fn order() -> impl Strategy<Value = Order> {
    let kind = prop_oneof![
        Just(Kind::Plain),
        proptest::num::f32::NORMAL.prop_map(Kind::With),
        (any::<Option<char>>(), any::<(i128, u8)>()).prop_map(|(a, b)| Kind::Named { a, b }),
    ];
    let kinds = proptest::collection::vec(kind, 0..5);
    let price =
        proptest::num::f64::NORMAL | proptest::num::f64::ZERO | proptest::num::f64::SUBNORMAL;
    (any::<u64>(), price, any::<Option<String>>(), kinds)
        .prop_map(|(number, price, note, kinds)| Order { number, price, note, kinds })
}

fn there_and_back<T: Content + PartialEq + std::fmt::Debug>(
    message: &Message<T>,
) -> Result<(), TestCaseError> {
    let json = message.to_json().unwrap();
    let mut appended = b"x".to_vec();
    message.write_json(&mut appended).unwrap();
    prop_assert_eq!(&appended[1..], json.as_bytes());
    prop_assert!(json.contains("\", \"content\": ") && json.ends_with("+00:00\"}"), "{}", json);
    let back = Message::<T>::from_json(json.as_bytes()).unwrap();
    prop_assert_eq!(&back, message);
    prop_assert_eq!(back.to_json().unwrap(), json, "written the same again");
    Ok(())
}

proptest! {
    #[test]
    fn text(content in any::<String>(), id in any::<u128>(), at in moment()) {
        prop_assume!(!content.is_empty());
        let message = Message::new(content).unwrap();
        there_and_back(&message.with_id(Uuid::from_u128(id)).with_timestamp(at).unwrap())?;
    }

    #[test]
    fn any_json(content in json(), at in moment()) {
        prop_assume!(!content.is_null() && content != "");
        there_and_back(&Message::new(content).unwrap().with_timestamp(at).unwrap())?;
    }

    #[test]
    fn a_type_of_the_users(content in order()) {
        there_and_back(&Message::new(content).unwrap())?;
    }

    #[test]
    fn bytes_of_any_kind_end_in_an_answer(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = Message::<String>::from_json(&bytes);
        let _ = Message::<Value>::from_json(&bytes);
    }

    /// Objects with our names and any values: an answer, and where it is a message, a stable one.
    #[test]
    fn objects_of_any_kind_end_in_an_answer(
        fields in proptest::collection::vec(
            (prop_oneof!["id", "content", "timestamp", ".*"], json()), 0..6),
        id in any::<u128>(),
        at in moment(),
        keep in any::<bool>(),
    ) {
        let mut fields: Vec<String> =
            fields.iter().map(|(name, value)| format!("{}:{value}", Value::from(&**name))).collect();
        if keep {
            fields.push(format!("\"id\":\"{}\"", Uuid::from_u128(id)));
            fields.push(format!("\"timestamp\":\"{at}\""));
        }
        let json = format!("{{{}}}", fields.join(","));
        match Message::<Value>::from_json(json.as_bytes()) {
            Ok(message) => there_and_back(&message)?,
            Err(error) => {
                let text = error.to_string();
                prop_assert!(text.starts_with(error.field().name()), "{}", text);
                prop_assert!(text.contains("found") || text.contains("bytes as JSON"), "{}", text);
                prop_assert!(text.len() < 2000 && !text.contains('\n'), "{}", text);
            }
        }
    }

    /// A valid message with one byte changed, left out or put in.
    #[test]
    fn a_damaged_message_ends_in_an_answer(
        content in json(), place in any::<prop::sample::Index>(), byte in any::<u8>(), how in 0..3,
    ) {
        let Ok(message) = Message::new(content) else { return Ok(()) };
        let mut bytes = message.to_json().unwrap().into_bytes();
        let place = place.index(bytes.len());
        match how {
            0 => bytes[place] = byte,
            1 => { bytes.remove(place); }
            _ => bytes.insert(place, byte),
        }
        if let Ok(read) = Message::<Value>::from_json(&bytes) {
            there_and_back(&read)?;
        }
    }

    #[test]
    fn a_timestamp_of_any_kind_ends_in_an_answer(text in "[-+0-9:.TtZz \\[\\]]{0,40}") {
        let _ = read::<String>(with_timestamp(&quoted(&text)));
    }
}
