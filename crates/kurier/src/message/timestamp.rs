//! A moment as text: written so that Python 3.9's `datetime.fromisoformat` reads it, read from RFC 3339
//! and from Python's `isoformat()`. Microseconds, from the year 0001 to 9999-12-30T22:00:00Z (where
//! jiff's range ends).

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::fmt::temporal::Pieces;
use jiff::tz::Offset;

use super::error::{Excerpt, MessageError};

/// The length of every written timestamp.
pub(super) const TEXT_BYTES: usize = "2026-11-23T21:59:58.123456+00:00".len();

/// 0001-01-01T00:00:00Z, the first moment that RFC 3339 and Python can name, in microseconds.
const FIRST_MICROSECOND: i128 = -62_135_596_800_000_000;

/// RFC 3339 and Python have offsets below this only.
const DAY_SECONDS: i32 = 24 * 60 * 60;

/// The present moment in whole microseconds.
pub(super) fn now() -> Timestamp {
    // A clock before the year 1 is no clock; the epoch says so to any reader.
    cut(Timestamp::now()).unwrap_or(Timestamp::UNIX_EPOCH)
}

/// Cuts off what is below a microsecond (towards the past, as cutting the text would).
pub(super) fn cut(timestamp: Timestamp) -> Result<Timestamp, MessageError> {
    within_range(timestamp).map_err(|reason| bad(reason, timestamp.to_string()))
}

fn within_range(timestamp: Timestamp) -> Result<Timestamp, String> {
    let microsecond = timestamp.as_nanosecond().div_euclid(1000);
    if microsecond < FIRST_MICROSECOND {
        return Err("before the year 0001 in UTC".to_owned());
    }
    // By nanoseconds: of the last second jiff holds, its microseconds reach only the beginning.
    Timestamp::from_nanosecond(microsecond * 1000).map_err(|error| error.to_string())
}

/// The text of a moment that [`cut`] has passed: always six fractional digits and `+00:00`.
pub(super) fn text(timestamp: Timestamp) -> [u8; TEXT_BYTES] {
    let at: DateTime = Offset::UTC.to_datetime(timestamp);
    let mut text = *b"0000-00-00T00:00:00.000000+00:00";
    put(&mut text[0..4], i32::from(at.year()).unsigned_abs());
    put(&mut text[5..7], u32::from(at.month().unsigned_abs()));
    put(&mut text[8..10], u32::from(at.day().unsigned_abs()));
    put(&mut text[11..13], u32::from(at.hour().unsigned_abs()));
    put(&mut text[14..16], u32::from(at.minute().unsigned_abs()));
    put(&mut text[17..19], u32::from(at.second().unsigned_abs()));
    put(&mut text[20..26], at.subsec_nanosecond().unsigned_abs() / 1000);
    text
}

/// Writes `number` in decimal, right-aligned over zeros.
fn put(digits: &mut [u8], mut number: u32) {
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
    }
}

/// Reads a moment. Without an offset it is taken as UTC.
pub(super) fn parse(text: &str) -> Result<Timestamp, MessageError> {
    // Four digits and a dash: RFC 3339 has no signed years and no basic format (20261123T…).
    let bytes = text.as_bytes();
    if bytes.len() < 5 || !bytes[..4].iter().all(u8::is_ascii_digit) || bytes[4] != b'-' {
        return Err(bad("does not begin with a year of four digits and a dash", text));
    }
    let pieces = Pieces::parse(text).map_err(|error| bad(error.to_string(), text))?;
    if pieces.time_zone_annotation().is_some() {
        return Err(bad("a time zone's name in brackets is not RFC 3339", text));
    }
    let Some(time) = pieces.time() else {
        return Err(bad("a date without a time", text));
    };
    let offset = pieces.to_numeric_offset().unwrap_or(Offset::UTC);
    if DAY_SECONDS <= offset.seconds().abs() {
        return Err(bad("an offset of a day or more", text));
    }
    let at = pieces.date().to_datetime(time);
    let timestamp = offset.to_timestamp(at).map_err(|error| bad(error.to_string(), text))?;
    within_range(timestamp).map_err(|reason| bad(reason, text))
}

fn bad(reason: impl Into<String>, found: impl AsRef<[u8]>) -> MessageError {
    MessageError::BadTimestamp { reason: reason.into(), found: Excerpt::of(found) }
}
