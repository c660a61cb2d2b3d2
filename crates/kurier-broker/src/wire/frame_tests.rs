//! The guard proves itself: of any valid encoding it must consume exactly all bytes.

use kafka_protocol::messages::*;

use super::*;
use crate::wire::examples::{examples, frame};

#[test]
fn every_request_in_every_version_is_walked_to_its_last_byte() {
    let examples = examples();
    for api in versions::APIS {
        assert!(examples.iter().any(|(key, ..)| *key == api.key as i16), "{:?} has none", api.key);
    }
    for (key, version, body) in examples {
        match parse(&frame(key, version, &body)) {
            Ok(Incoming::Kafka(request)) => {
                assert_eq!((request.client_id.as_str(), request.correlation), ("me", 77));
                assert_eq!(request.body, body, "API {key} version {version}");
            }
            other => panic!("API {key} version {version}: {other:?}"),
        }
        for cut in 0..body.len() {
            assert!(parse(&frame(key, version, &body[..cut])).is_err(), "API {key} cut at {cut}");
        }
    }
}

#[test]
fn counts_that_lie_are_found_before_anything_is_allocated() {
    let huge = i32::MAX.to_be_bytes();
    let metadata = frame(ApiKey::Metadata as i16, 1, &huge);
    assert_eq!(parse(&metadata).expect_err("refused"), FrameError::Malformed(Malformed::TooMany));
    let produce = [0, 0, 1, 0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff, 0x0f];
    assert!(parse(&frame(ApiKey::Produce as i16, 9, &produce)).is_err());
}

#[test]
fn sizes_are_bounded_by_what_the_request_is() {
    let head = |length: i32, key: i16| [&length.to_be_bytes()[..], &key.to_be_bytes()[..]].concat();
    assert_eq!(size(&head(5 << 20, ApiKey::Produce as i16)), Ok(Some(5 << 20)));
    assert!(size(&head(5 << 20, ApiKey::Metadata as i16)).is_err());
    assert!(size(&head(i32::MAX, 0)).is_err() && size(&head(-1, 0)).is_err());
    assert_eq!(size(&[0, 0]), Ok(None));
}

#[test]
fn unknown_apis_and_versions_are_refused_except_the_question_for_them() {
    assert!(matches!(
        parse(&frame(ApiKey::ApiVersions as i16, 127, b"?")),
        Ok(Incoming::UnknownApiVersions { correlation: 77 })
    ));
    assert!(parse(&frame(ApiKey::Produce as i16, 12, b"")).is_err());
    assert!(parse(&frame(ApiKey::EndTxn as i16, 0, b"")).is_err());
}
