//! What the next owner of a partition is to know, as text in a commit's metadata.
//!
//! Kafka keeps one number for each partition and a short text beside it. The number is the
//! watermark; the text names how many partitions the topic had, who kept the effects, and what was
//! settled above the watermark, as distances from it: `p4 h1:store-1 s1:2-5,9`.

use std::ops::RangeInclusive;

/// Brokers keep 4,096 bytes unless told otherwise (`offset.metadata.max.bytes`).
const TEXT_BYTES_MAX: usize = 3_500;
const PARTITIONS: &str = "p";
const HOLDER: &str = "h1:";
const SETTLED: &str = "s1:";

/// What an earlier owner has left.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Left {
    /// How many partitions the topic had.
    pub(crate) partition_count: Option<i32>,
    /// Who kept the effects, where that was named.
    pub(crate) holder: Option<String>,
    /// What was settled beyond the watermark.
    pub(crate) settled: Vec<RangeInclusive<i64>>,
}

/// Writes ascending offsets above `watermark`, as many as there is room for.
pub(crate) fn write(
    partition_count: Option<i32>,
    holder: Option<&str>,
    watermark: i64,
    settled: impl Iterator<Item = i64>,
) -> String {
    let count = partition_count.map(|count| format!("{PARTITIONS}{count}"));
    let holder = holder.map(|holder| format!("{HOLDER}{holder}"));
    let mut text = [count, holder].into_iter().flatten().collect::<Vec<_>>().join(" ");
    let head_bytes = text.len();
    let mut run: Option<(i64, i64)> = None;
    let put = |(first, last): (i64, i64), text: &mut String| {
        let (first, last) = (first - watermark, last - watermark);
        let entry = if first == last { format!("{first}") } else { format!("{first}-{last}") };
        let has_room = text.len() + entry.len() < TEXT_BYTES_MAX;
        if has_room {
            let is_first = text.len() == head_bytes;
            text.push_str(match (is_first, head_bytes) {
                (true, 0) => "",
                (true, _) => " ",
                (false, _) => ",",
            });
            text.push_str(if is_first { SETTLED } else { "" });
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
pub(crate) fn read(watermark: i64, text: &str) -> Left {
    let mut left = Left::default();
    for part in text.split(' ') {
        if let Some(entries) = part.strip_prefix(SETTLED) {
            left.settled = entries.split(',').map_while(|entry| range(watermark, entry)).collect();
        } else if let Some(holder) = part.strip_prefix(HOLDER) {
            left.holder = Some(holder.to_owned());
        } else if let Some(count) = part.strip_prefix(PARTITIONS) {
            left.partition_count = count.parse().ok().filter(|count| *count > 0);
        }
    }
    left
}

fn range(watermark: i64, entry: &str) -> Option<RangeInclusive<i64>> {
    let (first, last) = entry.split_once('-').unwrap_or((entry, entry));
    let (first, last) = (first.parse::<i64>().ok()?, last.parse::<i64>().ok()?);
    let range = watermark.checked_add(first)?..=watermark.checked_add(last)?;
    (first > 0 && first <= last).then_some(range)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_reads_back() {
        for settled in [vec![], vec![101], vec![102, 103, 104, 107], vec![101, 103, 105]] {
            for partition_count in [None, Some(4)] {
                for holder in [None, Some("store-1")] {
                    let text = write(partition_count, holder, 100, settled.iter().copied());
                    let left = read(100, &text);
                    assert_eq!((left.partition_count, left.holder.as_deref()), (partition_count, holder), "{text}");
                    assert_eq!(left.settled.into_iter().flatten().collect::<Vec<_>>(), settled, "{text}");
                }
            }
        }
    }

    #[test]
    fn a_text_beyond_its_room_is_cut_between_entries() {
        let text = write(Some(1_000), Some(&"h".repeat(64)), 0, (1..10_000).filter(|offset| offset % 2 == 1));
        assert!(text.len() <= 4_096, "{}", text.len());
        let read: Vec<i64> = read(0, &text).settled.into_iter().flatten().collect();
        assert!(read.len() > 500 && read.iter().all(|offset| offset % 2 == 1), "{}", read.len());
    }

    #[test]
    fn the_text_of_another_client_names_nothing() {
        for text in ["", "hello", "p", "p-1", "px", "s2:1", "s1:x", "s1:5-2", "s1:-3"] {
            assert_eq!(read(7, text), Left::default(), "{text}");
        }
    }
}
