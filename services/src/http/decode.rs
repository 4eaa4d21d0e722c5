//! Percent-decoding that refuses what it cannot read.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

/// The decoded text, or `None` for a `%` without two hexadecimal digits, or bytes that are not UTF-8.
///
/// `percent_decode_str` alone passes a stray `%` through, and two spellings of one name would then
/// reach the handlers.
pub(super) fn percent(raw: &str) -> Option<Cow<'_, str>> {
    let well_formed =
        raw.split('%').skip(1).all(|rest| rest.len() >= 2 && rest.bytes().take(2).all(|byte| byte.is_ascii_hexdigit()));
    if !well_formed {
        return None;
    }
    percent_decode_str(raw).decode_utf8().ok()
}

#[cfg(test)]
mod tests {
    use super::percent;

    #[track_caller]
    fn check(raw: &str, decoded: Option<&str>) {
        assert_eq!(percent(raw).as_deref(), decoded, "{raw}");
    }

    #[test]
    fn only_whole_escapes_of_utf_8_are_decoded() {
        check("ORD-1", Some("ORD-1"));
        check("a%2Fb", Some("a/b"));
        check("%EC%A3%BC%EB%AC%B8", Some("주문"));
        check("100%", None);
        check("%4", None);
        check("%zz", None);
        check("%+1", None);
        check("%%41", None);
        check("%FF", None);
    }
}
