//! What a webhook's answer means. *Pure.*

use std::time::Duration;

use hyper::StatusCode;
use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimeParser;

/// What becomes of the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Handled,
    /// Tried again, after this pause if the server asks for one.
    Again(Option<Duration>),
    Rejected,
}

/// The longest pause that a server can ask for: its partition waits meanwhile.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(300);

/// Judges a status and the header `Retry-After` that came with it.
///
/// 2xx is handled. Of 4xx only 408 and 429 speak of the moment; the others speak of the message. What is
/// neither is tried again: 3xx too, since a redirect is not followed and says nothing of the message.
pub fn judge(status: StatusCode, retry_after: Option<&str>, now: Timestamp) -> Verdict {
    let is_of_the_moment =
        matches!(status, StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS);
    if status.is_success() {
        Verdict::Handled
    } else if status.is_client_error() && !is_of_the_moment {
        Verdict::Rejected
    } else {
        Verdict::Again(retry_after.and_then(|text| pause(text.trim(), now)))
    }
}

/// Seconds or a date, [as the standard has it](https://www.rfc-editor.org/rfc/rfc9110#section-10.2.3).
/// What is neither, or asks for no pause, is as if it were not there.
fn pause(text: &str, now: Timestamp) -> Option<Duration> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let pause = if is_number {
        // More than any number holds is a long pause too.
        Duration::from_secs(text.parse().unwrap_or(u64::MAX))
    } else {
        let at = DateTimeParser::new().parse_timestamp(text).ok()?;
        Duration::try_from(at.duration_since(now)).ok()?
    };
    Some(pause.min(RETRY_AFTER_MAX)).filter(|pause| !pause.is_zero())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn judged(status: u16, retry_after: Option<&str>) -> Verdict {
        let now = "1994-11-06T08:49:30Z".parse().unwrap();
        judge(StatusCode::from_u16(status).unwrap(), retry_after, now)
    }

    #[test]
    fn a_status_says_whether_it_is_the_message_or_the_moment() {
        for status in [200, 201, 202, 204, 226, 299] {
            assert_eq!(judged(status, Some("7")), Verdict::Handled, "{status}");
        }
        for status in [400, 401, 403, 404, 405, 409, 410, 413, 422, 425, 451, 499] {
            assert_eq!(judged(status, Some("7")), Verdict::Rejected, "{status}");
        }
        for status in [101, 301, 302, 304, 307, 308, 408, 429, 500, 502, 503, 504, 599, 600, 999] {
            assert_eq!(judged(status, None), Verdict::Again(None), "{status}");
        }
    }

    #[test]
    fn retry_after_is_seconds_or_a_date_and_has_a_bound() {
        let table = [
            ("7", Some(7)),
            (" 7 ", Some(7)),
            ("0", None),
            ("300", Some(300)),
            ("301", Some(300)),
            ("99999999999999999999999", Some(300)),
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(7)),
            ("Sun, 06 Nov 1994 08:49:29 GMT", None),
            ("Sun, 06 Nov 2094 08:49:37 GMT", None), // a Saturday
            ("Sat, 06 Nov 2094 08:49:37 GMT", Some(300)),
            ("-1", None),
            ("1.5", None),
            ("soon", None),
            ("", None),
        ];
        for (text, expected) in table {
            let expected = Verdict::Again(expected.map(Duration::from_secs));
            assert_eq!(judged(503, Some(text)), expected, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn no_header_is_a_reason_to_panic_or_to_wait_for_ever(text in ".{0,40}", status in 100_u16..=999) {
            if let Verdict::Again(Some(pause)) = judged(status, Some(&text)) {
                prop_assert!(pause <= RETRY_AFTER_MAX);
            }
        }
    }
}
