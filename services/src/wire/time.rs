//! The two ways of writing a time.
//!
//! HTTP bodies carry RFC 3339 with an offset. Message bodies keep the recorded form without a zone,
//! for the Java services, beside an `occurredAt` in RFC 3339. Readers accept both.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

/// `2025-09-01T00:50:36.290933+09:00`.
#[must_use]
pub fn http_time(at: Timestamp, zone: &TimeZone) -> String {
    at.to_zoned(zone.clone()).strftime("%Y-%m-%dT%H:%M:%S%.6f%:z").to_string()
}

/// `2025-09-01T00:50:36.290933`, in `zone`.
#[must_use]
pub fn queue_time(at: Timestamp, zone: &TimeZone) -> String {
    at.to_zoned(zone.clone()).strftime("%Y-%m-%dT%H:%M:%S%.6f").to_string()
}

/// Reads either form; one without a zone is taken to be in `zone`.
#[must_use]
pub fn read_time(text: &str, zone: &TimeZone) -> Option<Timestamp> {
    if let Ok(at) = text.parse::<Timestamp>() {
        return Some(at);
    }
    text.parse::<DateTime>().ok()?.to_zoned(zone.clone()).ok().map(|zoned| zoned.timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_read_back_to_the_same_time() {
        let zone = TimeZone::get("Asia/Seoul").expect("bundled or installed");
        let at = read_time("2025-09-01T00:50:36.290933", &zone).expect("the recorded form");
        assert_eq!(http_time(at, &zone), "2025-09-01T00:50:36.290933+09:00");
        assert_eq!(queue_time(at, &zone), "2025-09-01T00:50:36.290933");
        assert_eq!(read_time(&http_time(at, &zone), &TimeZone::UTC), Some(at));
    }

    #[test]
    fn utc_has_an_offset_and_microseconds_are_always_written() {
        let at = Timestamp::from_second(0).expect("the epoch");
        assert_eq!(http_time(at, &TimeZone::UTC), "1970-01-01T00:00:00.000000+00:00");
    }
}
