//! Strings as JSON, at the speed of copying for text that needs no escape.

/// Appends `text` in quotes, escaped.
pub(super) fn write(text: &str, out: &mut Vec<u8>) {
    out.reserve(text.len() + 2);
    out.push(b'"');
    let mut rest = text.as_bytes();
    loop {
        let plain = plain_prefix(rest);
        out.extend_from_slice(&rest[..plain]);
        let Some(&special) = rest.get(plain) else { break };
        match short_escape(special) {
            Some(letter) => out.extend_from_slice(&[b'\\', letter]),
            None => {
                const HEX: &[u8; 16] = b"0123456789abcdef";
                let (high, low) = (special >> 4, special & 15);
                out.extend_from_slice(b"\\u00");
                out.extend_from_slice(&[HEX[usize::from(high)], HEX[usize::from(low)]]);
            }
        }
        rest = &rest[plain + 1..];
    }
    out.push(b'"');
}

/// How many bytes [`write()`] would append.
pub(super) fn written_bytes(text: &str) -> usize {
    let mut bytes = text.len() + 2;
    let mut rest = text.as_bytes();
    loop {
        let plain = plain_prefix(rest);
        let Some(&special) = rest.get(plain) else { break };
        bytes += if short_escape(special).is_some() { 1 } else { 5 };
        rest = &rest[plain + 1..];
    }
    bytes
}

/// The letter after the backslash, for bytes that have a short escape.
fn short_escape(byte: u8) -> Option<u8> {
    Some(match byte {
        b'"' => b'"',
        b'\\' => b'\\',
        b'\n' => b'n',
        b'\r' => b'r',
        b'\t' => b't',
        0x08 => b'b',
        0x0c => b'f',
        _ => return None,
    })
}

/// How many bytes from the start need no escape. Looks at eight at a time.
fn plain_prefix(text: &[u8]) -> usize {
    let mut at = 0;
    while let Some(word) = text[at..].first_chunk::<8>() {
        if has_special(u64::from_ne_bytes(*word)) {
            break;
        }
        at += 8;
    }
    at + text[at..].iter().take_while(|&&byte| !is_special(byte)).count()
}

fn is_special(byte: u8) -> bool {
    byte < 0x20 || byte == b'"' || byte == b'\\'
}

/// True when one of the word's bytes is special: the usual "has a byte below n" and "has a zero byte"
/// tests (Bit Twiddling Hacks, Anderson), exact as to whether there is one.
fn has_special(word: u64) -> bool {
    const ONES: u64 = u64::MAX / 255;
    const HIGHS: u64 = ONES << 7;
    let control = word.wrapping_sub(ONES * 0x20) & !word;
    let quote = word ^ (ONES * b'"' as u64);
    let quote = quote.wrapping_sub(ONES) & !quote;
    let backslash = word ^ (ONES * b'\\' as u64);
    let backslash = backslash.wrapping_sub(ONES) & !backslash;
    (control | quote | backslash) & HIGHS != 0
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn written(text: &str) -> String {
        let mut out = Vec::new();
        write(text, &mut out);
        String::from_utf8(out).expect("UTF-8 goes in")
    }

    proptest! {
        #[test]
        fn writes_what_serde_json_writes(text in any::<String>()) {
            let expected = serde_json::to_string(&text).expect("a string serialises");
            prop_assert_eq!(written_bytes(&text), expected.len());
            prop_assert_eq!(written(&text), expected);
        }

        #[test]
        fn control_characters_and_quotes_anywhere(
            text in proptest::collection::vec(0_u8..0x80, 0..40),
        ) {
            let text = String::from_utf8(text).expect("ASCII");
            let expected = serde_json::to_string(&text).expect("a string serialises");
            prop_assert_eq!(written_bytes(&text), expected.len());
            prop_assert_eq!(written(&text), expected);
        }
    }

    #[test]
    fn every_character_of_ascii() {
        for byte in 0..0x80_u8 {
            for before in 0..9 {
                let text = format!("{}{}é", "a".repeat(before), char::from(byte));
                let expected = serde_json::to_string(&text).expect("a string serialises");
                assert_eq!(written(&text), expected);
                assert_eq!(written_bytes(&text), expected.len());
            }
        }
    }
}
