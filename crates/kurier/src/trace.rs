//! The trace that a message belongs to, as the header `traceparent` says it ([W3C Trace Context]). *Pure.*
//!
//! Owns its form and the span around a handler. Which trace is the current one is known to whoever
//! traces, who tells the producer (`trace_context` of its builder); there is no tracing system in here.
//!
//! [W3C Trace Context]: https://www.w3.org/TR/trace-context/

use std::fmt;
use std::str::FromStr;

use tracing::Span;

use crate::{Headers, Record};

/// The header's name.
pub(crate) const TRACEPARENT: &str = "traceparent";
/// The length of the header's value in version 00.
pub(crate) const TRACEPARENT_LEN: usize = 55;

/// A place in a trace: the trace, the span that is the parent of what comes next, and flags.
///
/// `Display` and `FromStr` are the value of a `traceparent` header:
///
/// ```
/// let text = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
/// let context: kurier::TraceContext = text.parse()?;
/// assert_eq!(context.trace_id().to_string(), "0af7651916cd43dd8448eb211c80319c");
/// assert!(context.is_sampled());
/// assert_eq!(context.to_string(), text);
/// # Ok::<(), kurier::NoTraceContext>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TraceContext {
    trace: TraceId,
    parent: SpanId,
    flags: u8,
}

/// Names a trace; never all zero. `Display` is lower-case hexadecimal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TraceId([u8; 16]);

/// Names a span within its trace; never all zero. `Display` is lower-case hexadecimal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SpanId([u8; 8]);

/// A text that is no `traceparent`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no traceparent as W3C Trace Context has it")]
pub struct NoTraceContext;

/// The flag that says that the trace is recorded.
const SAMPLED: u8 = 1;

impl TraceContext {
    /// From what a tracing system has: OpenTelemetry's `trace_id().to_bytes()`, `span_id().to_bytes()` and
    /// `trace_flags().to_u8()`. `None` when an id is all zero, which means that there is no trace.
    pub fn new(trace_id: [u8; 16], span_id: [u8; 8], flags: u8) -> Option<Self> {
        let known = trace_id != [0; 16] && span_id != [0; 8];
        known.then_some(Self { trace: TraceId(trace_id), parent: SpanId(span_id), flags })
    }

    /// The context in the last `traceparent` of `headers`; `None` when there is none, or it is malformed.
    pub fn of(headers: &Headers) -> Option<Self> {
        let value = headers.get(TRACEPARENT)?;
        std::str::from_utf8(value).ok()?.parse().ok()
    }

    /// The trace.
    pub fn trace_id(&self) -> TraceId {
        self.trace
    }

    /// The span of whoever sent the message.
    pub fn parent_id(&self) -> SpanId {
        self.parent
    }

    /// The flags as they came.
    pub fn flags(&self) -> u8 {
        self.flags
    }

    /// True when whoever sent the message may have recorded the trace.
    pub fn is_sampled(&self) -> bool {
        self.flags & SAMPLED != 0
    }
}

impl fmt::Display for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{}-{}-{:02x}", self.trace, self.parent, self.flags)
    }
}

impl FromStr for TraceContext {
    type Err = NoTraceContext;

    /// Of later versions than 00 the four fields that are known are read, as the specification says.
    fn from_str(text: &str) -> Result<Self, NoTraceContext> {
        let mut fields = text.splitn(5, '-');
        let mut field = || fields.next().ok_or(NoTraceContext);
        let [version] = hex::<1>(field()?)?;
        let (trace, parent) = (hex(field()?)?, hex(field()?)?);
        let [flags] = hex::<1>(field()?)?;
        let more = fields.next().is_some();
        if version == 0xff || (version == 0 && more) {
            return Err(NoTraceContext);
        }
        Self::new(trace, parent, flags).ok_or(NoTraceContext)
    }
}

/// Lower-case hexadecimal of exactly so many bytes.
fn hex<const N: usize>(text: &str) -> Result<[u8; N], NoTraceContext> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Ok(byte - b'0'),
        b'a'..=b'f' => Ok(byte - b'a' + 10),
        _ => Err(NoTraceContext),
    };
    if text.len() != 2 * N {
        return Err(NoTraceContext);
    }
    let mut bytes = [0; N];
    for (byte, two) in bytes.iter_mut().zip(text.as_bytes().chunks(2)) {
        *byte = digit(two[0])? << 4 | digit(two[1])?;
    }
    Ok(bytes)
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Display for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// The span around the handler of a message that belongs to a trace, so that what the handler logs names
/// it; none around that of another.
pub(crate) fn handler_span(record: &Record, attempt: u32) -> Span {
    let Some(context) = TraceContext::of(&record.headers) else { return Span::none() };
    tracing::info_span!(
        "handle",
        topic = record.topic(),
        partition = %record.partition(),
        offset = %record.offset(),
        attempt,
        trace_id = %context.trace,
        parent_id = %context.parent,
        trace_flags = context.flags,
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_malformed_is_none() {
        let trace = "0af7651916cd43dd8448eb211c80319c";
        let span = "b7ad6b7169203331";
        let good = [
            format!("00-{trace}-{span}-00"),
            format!("00-{trace}-{span}-ff"),
            format!("01-{trace}-{span}-01"),
            format!("cc-{trace}-{span}-01-of-the-future"),
        ];
        for text in good {
            assert!(text.parse::<TraceContext>().is_ok(), "{text}");
        }
        let bad = [
            String::new(),
            "00".to_owned(),
            format!("00-{trace}-{span}"),
            format!("00-{trace}-{span}-"),
            format!("00-{trace}-{span}-1"),
            format!("00-{trace}-{span}-01-"),
            format!("00-{trace}-{span}-01-more"),
            format!("ff-{trace}-{span}-01"),
            format!("0-{trace}-{span}-01"),
            format!("00-{}-{span}-01", trace.to_uppercase()),
            format!("00-{}-{span}-01", "0".repeat(32)),
            format!("00-{trace}-{}-01", "0".repeat(16)),
            format!("00-{trace}0-{span}-01"),
            format!("00-{span}-{trace}-01"),
            format!(" 00-{trace}-{span}-01"),
            format!("00-{trace}-{span}-01 "),
            format!("00-{}-{span}-01", "é".repeat(16)),
        ];
        for text in bad {
            assert_eq!(text.parse::<TraceContext>(), Err(NoTraceContext), "{text}");
        }
    }

    #[test]
    fn the_last_header_counts_also_when_it_is_malformed() {
        let text = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let mut headers = Headers::new();
        assert_eq!(TraceContext::of(&headers), None);
        headers.push(TRACEPARENT, Some(text.into()));
        assert_eq!(TraceContext::of(&headers), text.parse().ok());
        headers.push(TRACEPARENT, Some([0xff].as_slice().to_vec().into()));
        assert_eq!(TraceContext::of(&headers), None);
        headers.push(TRACEPARENT, None);
        assert_eq!(TraceContext::of(&headers), None);
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(trace: [u8; 16], span: [u8; 8], flags: u8) {
            if let Some(context) = TraceContext::new(trace, span, flags) {
                let text = context.to_string();
                prop_assert_eq!(text.len(), TRACEPARENT_LEN);
                prop_assert_eq!(text.parse(), Ok(context));
            }
        }

        #[test]
        fn no_text_is_a_reason_to_panic(text in "[0-9a-f-]{0,60}|.{0,60}") {
            let _ = text.parse::<TraceContext>();
        }
    }
}
