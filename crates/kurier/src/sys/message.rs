//! What a message of librdkafka's holds, copied out of it: read by consumers and by failed deliveries.

use std::ffi::c_void;
use std::ptr;

use bytes::Bytes;
use rdkafka::bindings as rd;
use rdkafka::types::RDKafkaMessage;

use super::{error_code, text};
use crate::message::Headers;

/// # Safety
/// `start` is null, or points at `len` bytes that live during `'a`.
pub(super) unsafe fn bytes_at<'a>(start: *const c_void, len: usize) -> Option<&'a [u8]> {
    // SAFETY: the caller's.
    (!start.is_null()).then(|| unsafe { std::slice::from_raw_parts(start.cast::<u8>(), len) })
}

/// # Safety
/// `message` is alive.
pub(super) unsafe fn headers(message: *const RDKafkaMessage) -> Headers {
    let mut all = Headers::new();
    let mut list = ptr::null_mut();
    // SAFETY: the caller's; the list, its names and its values live as long as the message.
    unsafe {
        if error_code(rd::rd_kafka_message_headers(message, &mut list)).is_some() {
            return all;
        }
        let (mut name, mut value, mut size) = (ptr::null(), ptr::null(), 0);
        for index in 0.. {
            let found = rd::rd_kafka_header_get_all(list, index, &mut name, &mut value, &mut size);
            if error_code(found).is_some() {
                break;
            }
            all.push(text(name), bytes_at(value, size).map(Bytes::copy_from_slice));
        }
    }
    all
}
