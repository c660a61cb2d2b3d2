//! Whether JSON can be read by those who read values rather than text.
//!
//! Text that is kept as it was written is only looked over; a number no float holds, half a surrogate
//! pair, or nesting beyond what parsers follow would come to light in a consumer, whose partition it
//! stops. Reading it whole once, and keeping nothing, costs no memory.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};

/// Reads as any value does, and is nothing.
pub struct Readable;

impl<'de> Deserialize<'de> for Readable {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Self)
    }
}

impl<'de> Visitor<'de> for Readable {
    type Value = Self;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON")
    }

    fn visit_unit<E: Error>(self) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self, A::Error> {
        while items.next_element::<Self>()?.is_some() {}
        Ok(self)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Self, A::Error> {
        while fields.next_entry::<Self, Self>()?.is_some() {}
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_value_is_not_read_from_is_not_readable() {
        let nested = |levels| "[".repeat(levels) + &"]".repeat(levels);
        let (deep, deeper) = (nested(127), nested(128));
        let texts = [
            "null",
            "1",
            "-1",
            "1.5",
            "123456789012345678901234567890",
            "1e400",
            "\"\\u00e9\"",
            "\"\\ud800\"",
            "\"\\ud83e\\udd80\"",
            "{\"a\":[true,{}]}",
            "{\"\\ud800\":1}",
            "{",
            &deep,
            &deeper,
        ];
        for text in texts {
            let value = serde_json::from_str::<serde_json::Value>(text).is_ok();
            assert_eq!(serde_json::from_str::<Readable>(text).is_ok(), value, "{text}");
        }
    }
}
