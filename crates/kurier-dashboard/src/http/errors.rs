//! Errors without what differs from one to the next, so that they can be counted. *Pure.*

/// An error as one of its kind.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Kind {
    /// Its words, with `<n>` in place of numbers and `<id>` in place of identifiers.
    pub(super) words: String,
    /// The longest piece between those, which every error of the kind contains.
    pub(super) contains: String,
}

/// Bytes of an error that are looked at.
const LENGTH_MAX: usize = 400;
/// Hexadecimal digits from which on a word is an identifier.
const ID_MIN: usize = 8;

impl Kind {
    /// What kind of error this is. Numbers differ, and so do identifiers: long words of hexadecimal digits
    /// with a figure among them, with hyphens or without.
    pub(super) fn of(error: &str) -> Self {
        let (mut words, mut piece, mut longest) = (String::new(), String::new(), String::new());
        let mut rest = error;
        let longer = |piece: &mut String, longest: &mut String| {
            if longest.trim().len() < piece.trim().len() {
                longest.clone_from(piece);
            }
            piece.clear();
        };
        while let Some(first) = rest.chars().next() {
            if LENGTH_MAX <= words.len() {
                words.push('…');
                break;
            }
            let id = if is_part_of_word(words.chars().next_back()) { 0 } else { id_length(rest) };
            let number = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
            let (length, stands) = match (id, number) {
                (1.., _) => (id, "<id>"),
                (0, 1..) => (number, "<n>"),
                (0, 0) => {
                    words.push(first);
                    piece.push(first);
                    rest = &rest[first.len_utf8()..];
                    continue;
                }
            };
            longer(&mut piece, &mut longest);
            words.push_str(stands);
            rest = &rest[length..];
        }
        longer(&mut piece, &mut longest);
        Self { words, contains: longest.trim().to_owned() }
    }
}

fn is_part_of_word(before: Option<char>) -> bool {
    before.is_some_and(|before| before.is_alphanumeric() || before == '>')
}

/// How many bytes of the beginning are an identifier; 0 when it is none.
fn id_length(text: &str) -> usize {
    let is_in_word = |c: char| c.is_alphanumeric() || c == '-' || c == '_';
    let length = text.find(|c: char| !is_in_word(c)).unwrap_or(text.len());
    let word = text[..length].trim_end_matches('-');
    let digits = word.bytes().filter(u8::is_ascii_hexdigit).count();
    let hyphens = word.bytes().filter(|byte| *byte == b'-').count();
    let has_figure = word.bytes().any(|byte| byte.is_ascii_digit());
    let has_letter = word.bytes().any(|byte| byte.is_ascii_alphabetic());
    let is_id = digits + hyphens == word.len() && ID_MIN <= digits && has_figure && has_letter;
    if is_id { word.len() } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_identifiers_are_one_kind_and_words_are_not() {
        for (error, words, contains) in [
            ("", "", ""),
            ("no stock", "no stock", "no stock"),
            (
                "store order 4711: connection refused",
                "store order <n>: connection refused",
                ": connection refused",
            ),
            ("order17 is late by 3.5 s", "order<n> is late by <n>.<n> s", "is late by"),
            (
                "no order 0193f0a2-5c6e-7b1a-9d2e-3f4a5b6c7d8e in the store",
                "no order <id> in the store",
                "in the store",
            ),
            ("hash deadbeef00 differs", "hash <id> differs", "differs"),
            ("10.0.0.7:5432: refused", "<n>.<n>.<n>.<n>:<n>: refused", ": refused"),
            ("2026-01-31T12:00:00Z is past", "<n>-<n>-<n>T<n>:<n>:<n>Z is past", "Z is past"),
            // Words that happen to be hexadecimal, and those that only begin so.
            ("the facade is effaced", "the facade is effaced", "the facade is effaced"),
            ("decade2000s style", "decade<n>s style", "s style"),
            ("missing field `amount`", "missing field `amount`", "missing field `amount`"),
            ("größe 7 zu groß", "größe <n> zu groß", "zu groß"),
            ("12", "<n>", ""),
        ] {
            let kind = Kind::of(error);
            assert_eq!((kind.words.as_str(), kind.contains.as_str()), (words, contains), "{error}");
            assert!(error.contains(&kind.contains), "{error}");
        }
    }

    #[test]
    fn a_long_error_is_cut_and_its_piece_is_still_in_it() {
        let error = format!("7 {}", "é".repeat(2000));
        let kind = Kind::of(&error);
        assert!(kind.words.len() < LENGTH_MAX + 10 && kind.words.ends_with('…'));
        assert!(error.contains(&kind.contains));
    }
}
