//! Which topics the metadata of a member of protocol type `consumer` subscribes to.
//!
//! Reads the head of Kafka's ConsumerProtocolSubscription, which is the same in all its versions: a
//! version, then the topics. Elsewhere the coordinator never looks into metadata. It is read by hand
//! because the generated decoder reserves room for as many topics as the bytes claim.

/// The topics, or nothing when the bytes are no subscription.
pub(super) fn topics(metadata: &[u8]) -> Option<Vec<&str>> {
    let (_version, rest) = metadata.split_first_chunk::<2>()?;
    let (count, mut rest) = rest.split_first_chunk::<4>()?;
    let count = i32::from_be_bytes(*count);
    let mut topics = Vec::new();
    for _ in 0..count {
        let (length, text) = rest.split_first_chunk::<2>()?;
        let length = usize::try_from(i16::from_be_bytes(*length)).ok()?;
        let (topic, after) = text.split_at_checked(length)?;
        topics.push(std::str::from_utf8(topic).ok()?);
        rest = after;
    }
    Some(topics)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_are_read() {
        let bytes = b"\0\x01\0\0\0\x02\0\x01a\0\x03bcd\xff\xff\xff\xff";
        assert_eq!(topics(bytes), Some(vec!["a", "bcd"]));
    }

    #[test]
    fn lies_about_lengths_are_no_subscription() {
        for bytes in [
            &b""[..],
            b"\0",
            b"\0\0\x7f\xff\xff\xff",
            b"\0\0\0\0\0\x01\x7f\xffa",
            b"\0\0\0\0\0\x01\xff\xff",
            b"\0\0\0\0\0\x01\0\x01\xff",
        ] {
            assert_eq!(topics(bytes), None, "{bytes:?}");
        }
    }
}
