//! The text of a `traceparent`: version, trace, span and flags.

use std::num::{NonZeroU64, NonZeroU128};
use std::ops::RangeInclusive;

use super::{SpanId, TraceContext, TraceId};

/// Length of version 00, in bytes.
pub(super) const LENGTH_BYTES: usize = 55;
/// The only flag of version 00. The others "MUST be set to zero" on the way on.
const SAMPLED: u8 = 0b1;

/// See [`TraceContext::parse`].
pub(super) fn read(text: &str) -> Option<TraceContext> {
    let end = text.as_bytes().get(LENGTH_BYTES);
    let is_legal_version = match number(text, 0..=1)? {
        0x00 => end.is_none(),
        0xff => false,
        _ => matches!(end, None | Some(b'-')),
    };
    let has_dashes = [2, 35, 52].iter().all(|place| text.as_bytes().get(*place) == Some(&b'-'));
    let trace_id = NonZeroU128::new(number(text, 3..=34)?)?;
    let span_id = NonZeroU64::new(u64::try_from(number(text, 36..=51)?).ok()?)?;
    let flags = u8::try_from(number(text, 53..=54)?).ok()?;
    (is_legal_version && has_dashes).then_some(TraceContext {
        trace_id: TraceId(trace_id),
        span_id: SpanId(span_id),
        is_sampled: flags & SAMPLED != 0,
        state: None,
    })
}

/// Version 00. Without `format!`, as this happens once for each message that is published.
pub(super) fn write(context: &TraceContext) -> [u8; LENGTH_BYTES] {
    let mut text = *b"00-00000000000000000000000000000000-0000000000000000-00";
    fill(&mut text[3..35], context.trace_id.0.get());
    fill(&mut text[36..52], u128::from(context.span_id.0.get()));
    fill(&mut text[53..], u128::from(context.is_sampled));
    text
}

/// The number at these places. Upper case and signs are no digits here.
fn number(text: &str, places: RangeInclusive<usize>) -> Option<u128> {
    let digits = text.get(places)?;
    let is_legal = digits.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'));
    if is_legal { u128::from_str_radix(digits, 16).ok() } else { None }
}

/// Fills `digits` with those of the number, the least significant last.
fn fill(digits: &mut [u8], mut number: u128) {
    for digit in digits.iter_mut().rev() {
        *digit = b"0123456789abcdef"[(number & 0xf) as usize];
        number >>= 4;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEGAL: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn a_legal_traceparent_is_read_and_written_as_it_was() {
        let context = TraceContext::parse(LEGAL).expect("the recommendation's own example");
        assert_eq!(context.trace_id().to_string(), "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_eq!(context.span_id().to_string(), "00f067aa0ba902b7");
        assert!(context.is_sampled());
        assert_eq!(context.traceparent(), LEGAL);
        let unsampled = TraceContext::parse(&LEGAL.replace("-01", "-00")).expect("legal");
        assert!(!unsampled.is_sampled());
        assert_eq!(unsampled.traceparent(), LEGAL.replace("-01", "-00"));
    }

    #[test]
    fn what_the_recommendation_calls_invalid_is_no_context() {
        let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
        let span = "00f067aa0ba902b7";
        for bad in [
            String::new(),
            "00".to_owned(),
            format!("ff-{trace}-{span}-01"),
            format!("0-{trace}-{span}-01"),
            format!("0x-{trace}-{span}-01"),
            format!("00-{}-{span}-01", "0".repeat(32)),
            format!("00-{trace}-{}-01", "0".repeat(16)),
            format!("00-{}-{span}-01", trace.to_uppercase()),
            format!("00-{trace}-{}-01", span.to_uppercase()),
            format!("00-{trace}-{span}-0A"),
            format!("00-{trace}-{span}-1"),
            format!("00-{trace}-{span}-"),
            format!("00-{trace}-{span}"),
            format!("00-{trace}-{span}-01-"),
            format!("00-{trace}-{span}-01-what-the-future-will-be"),
            format!("00-{trace}-{span}-011"),
            format!("00-{}-{span}-01", &trace[1..]),
            format!("00-{trace}0-{span}-01"),
            format!("00_{trace}_{span}_01"),
            format!("00-{trace}-+0f067aa0ba902b7-01"),
            format!("01-{trace}-{span}-01.what"),
            format!("01-{trace}-{span}-0"),
            format!(" 00-{trace}-{span}-01"),
            format!("00-{trace}-{span}-é"),
            "é".repeat(28),
        ] {
            assert_eq!(TraceContext::parse(&bad), None, "{bad:?}");
        }
    }

    #[test]
    fn later_versions_are_read_as_far_as_this_one_goes_and_passed_on_as_this_one() {
        for (later, written) in [
            ("cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", LEGAL.to_owned()),
            ("cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-what", LEGAL.to_owned()),
            ("01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-ff", LEGAL.to_owned()),
            ("01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-02", LEGAL.replace("-01", "-00")),
        ] {
            assert_eq!(TraceContext::parse(later).map(|context| context.traceparent()), Some(written), "{later}");
        }
    }
}
