//! Offsets settled beyond a watermark, as text in a commit's metadata.
//!
//! Kafka keeps one number for each partition and a short text beside it. The number is the
//! watermark; the text names what was settled above it, as distances from it: `s1:2-5,9`.

use std::ops::RangeInclusive;

/// Brokers keep 4,096 bytes unless told otherwise (`offset.metadata.max.bytes`).
const TEXT_BYTES_MAX: usize = 3_500;
const VERSION: &str = "s1:";

/// Writes ascending offsets above `watermark`, as many as there is room for.
pub(crate) fn write(watermark: i64, settled: impl Iterator<Item = i64>) -> String {
    let mut text = String::new();
    let mut run: Option<(i64, i64)> = None;
    let put = |(first, last): (i64, i64), text: &mut String| {
        let (first, last) = (first - watermark, last - watermark);
        let entry = if first == last { format!("{first}") } else { format!("{first}-{last}") };
        let has_room = text.len() + entry.len() < TEXT_BYTES_MAX;
        if has_room {
            text.push_str(if text.is_empty() { VERSION } else { "," });
            text.push_str(&entry);
        }
        has_room
    };
    for offset in settled {
        run = match run {
            Some((first, last)) if offset == last + 1 => Some((first, offset)),
            Some(done) => {
                if !put(done, &mut text) {
                    return text;
                }
                Some((offset, offset))
            }
            None => Some((offset, offset)),
        };
    }
    if let Some(done) = run {
        put(done, &mut text);
    }
    text
}

/// Reads what [`write`] wrote; a text of somebody else names nothing.
pub(crate) fn read(watermark: i64, text: &str) -> Vec<RangeInclusive<i64>> {
    let Some(entries) = text.strip_prefix(VERSION) else { return Vec::new() };
    let range = |entry: &str| {
        let (first, last) = entry.split_once('-').unwrap_or((entry, entry));
        let (first, last) = (first.parse::<i64>().ok()?, last.parse::<i64>().ok()?);
        let range = watermark.checked_add(first)?..=watermark.checked_add(last)?;
        (first > 0 && first <= last).then_some(range)
    };
    entries.split(',').map_while(range).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settled_offsets_read_back() {
        for settled in [vec![], vec![101], vec![102, 103, 104, 107], vec![101, 103, 105]] {
            let text = write(100, settled.iter().copied());
            let read: Vec<i64> = read(100, &text).into_iter().flatten().collect();
            assert_eq!(read, settled, "{text}");
        }
    }

    #[test]
    fn a_text_beyond_its_room_is_cut_between_entries() {
        let text = write(0, (1..10_000).filter(|offset| offset % 2 == 1));
        assert!(text.len() <= 4_096, "{}", text.len());
        let read: Vec<i64> = read(0, &text).into_iter().flatten().collect();
        assert!(read.len() > 500 && read.iter().all(|offset| offset % 2 == 1), "{}", read.len());
    }

    #[test]
    fn the_text_of_another_client_names_nothing() {
        for text in ["", "hello", "s2:1", "s1:x", "s1:5-2", "s1:-3"] {
            assert_eq!(read(7, text), [], "{text}");
        }
    }
}
