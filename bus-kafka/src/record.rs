//! A record as it was read, in one piece.
//!
//! The thread that polls copies it out of librdkafka and looks whether it is legal. Who receives it
//! makes the message: what one thread allocates and another gives back costs more than all bookkeeping.

use std::collections::VecDeque;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};

use bytes::{BufMut as _, Bytes, BytesMut};
use rdkafka::message::{BorrowedHeaders, BorrowedMessage, Headers as _, Message as _};

/// Small records are copied into pieces of this size, several to one, which is there as long as any of
/// them.
const CHUNK_BYTES: usize = 32 * 1024;
/// Full pieces that are kept to be used again: 2 MiB at most.
const FULL_COUNT_MAX: usize = 64;
const NUMBER_BYTES: usize = 4;
/// Numbers in front: whether it is whole, bytes of the key, number of headers.
const HEAD_COUNT: usize = 3;

/// Numbers of 32 bits, two more for each header, its bytes of name and value; then the key, names and
/// values in turn, and the body.
#[derive(Clone)]
pub(crate) struct Record(Bytes);

impl Record {
    fn number(&self, index: usize) -> usize {
        let at = index * NUMBER_BYTES;
        let bytes = self.0[at..at + NUMBER_BYTES].try_into().expect("as many as there were asked for");
        u32::from_le_bytes(bytes) as usize
    }

    fn header_count(&self) -> usize {
        self.number(2)
    }

    fn key_range(&self) -> Range<usize> {
        let from = (HEAD_COUNT + 2 * self.header_count()) * NUMBER_BYTES;
        from..from + self.number(1)
    }

    /// Whether all headers are there.
    pub(crate) fn is_whole(&self) -> bool {
        self.number(0) == 1
    }

    /// An empty key is none.
    pub(crate) fn key(&self) -> Option<&[u8]> {
        Some(&self.0[self.key_range()]).filter(|key| !key.is_empty())
    }

    /// Names, and where their values are.
    pub(crate) fn headers(&self) -> impl Iterator<Item = (&[u8], Range<usize>)> {
        let mut at = self.key_range().end;
        (0..self.header_count()).map(move |index| {
            let name = at..at + self.number(HEAD_COUNT + 2 * index);
            let value = name.end..name.end + self.number(HEAD_COUNT + 2 * index + 1);
            at = value.end;
            (&self.0[name], value)
        })
    }

    pub(crate) fn value(&self, range: Range<usize>) -> Bytes {
        self.0.slice(range)
    }

    /// The value of the first header of that name, in place.
    pub(crate) fn value_of(&self, wanted: &str) -> Option<&[u8]> {
        let (_, value) = self.headers().find(|(name, _)| *name == wanted.as_bytes())?;
        Some(&self.0[value])
    }

    fn body_start(&self) -> usize {
        self.headers().last().map_or(self.key_range().end, |(_, value)| value.end)
    }

    pub(crate) fn body(&self) -> Bytes {
        self.0.slice(self.body_start()..)
    }

    /// The body in place.
    pub(crate) fn body_bytes(&self) -> &[u8] {
        &self.0[self.body_start()..]
    }

    pub(crate) fn size_bytes(&self) -> usize {
        self.0.len()
    }
}

/// Copies records, with what it has left of a piece of memory.
pub(crate) struct Copier {
    chunk: BytesMut,
    /// The end of pieces that are full, oldest first. Once no record is left of one, it is used again.
    full: VecDeque<BytesMut>,
}

impl Copier {
    /// Copies what a poll brought.
    pub(crate) fn copy(&mut self, record: &BorrowedMessage<'_>) -> Record {
        let (pairs, is_whole) = record.headers().map_or((Vec::new(), true), pairs_of);
        self.pack(record.key().unwrap_or_default(), &pairs, is_whole, record.payload().unwrap_or_default())
    }

    pub(crate) fn pack(&mut self, key: &[u8], pairs: &[(&str, &[u8])], is_whole: bool, body: &[u8]) -> Record {
        let number_count = HEAD_COUNT + 2 * pairs.len();
        let pair_bytes: usize = pairs.iter().map(|(name, value)| name.len() + value.len()).sum();
        let count = number_count * NUMBER_BYTES + key.len() + pair_bytes + body.len();
        if self.chunk.capacity() >= count {
            return fill(&mut self.chunk, key, pairs, is_whole, body);
        }
        if count > CHUNK_BYTES / 8 {
            return fill(&mut BytesMut::with_capacity(count), key, pairs, is_whole, body);
        }
        let full = std::mem::take(&mut self.chunk);
        self.full.push_back(full);
        self.chunk = self.another_chunk();
        fill(&mut self.chunk, key, pairs, is_whole, body)
    }

    fn another_chunk(&mut self) -> BytesMut {
        if let Some(mut oldest) = self.full.pop_front() {
            if oldest.try_reclaim(CHUNK_BYTES) {
                return oldest;
            }
            if self.full.len() < FULL_COUNT_MAX {
                self.full.push_front(oldest);
            }
        }
        BytesMut::with_capacity(CHUNK_BYTES)
    }
}

impl Default for Copier {
    fn default() -> Self {
        Self { chunk: BytesMut::with_capacity(CHUNK_BYTES), full: VecDeque::new() }
    }
}

fn fill(chunk: &mut BytesMut, key: &[u8], pairs: &[(&str, &[u8])], is_whole: bool, body: &[u8]) -> Record {
    let mut number = |number: usize| chunk.put_u32_le(u32::try_from(number).expect("Kafka's lengths have 31 bits"));
    number(usize::from(is_whole));
    number(key.len());
    number(pairs.len());
    for (name, value) in pairs {
        number(name.len());
        number(value.len());
    }
    chunk.put_slice(key);
    for (name, value) in pairs {
        chunk.put_slice(name.as_bytes());
        chunk.put_slice(value);
    }
    chunk.put_slice(body);
    Record(chunk.split().freeze())
}

/// Names and values, and whether these are all.
///
/// A name that is no UTF-8 is against the protocol, yet no broker looks at it, and rdkafka panics when
/// asked for it: a foreign record must not end the thread that reads. In a program built with
/// `panic = "abort"` it still does.
fn pairs_of(headers: &BorrowedHeaders) -> (Vec<(&str, &[u8])>, bool) {
    let count = headers.count();
    let mut pairs = Vec::with_capacity(count);
    for index in 0..count {
        // Nothing is changed by the look, so nothing is left half changed.
        if let Ok(header) = catch_unwind(AssertUnwindSafe(|| headers.get(index))) {
            pairs.push((header.key, header.value.unwrap_or_default()));
        }
    }
    let is_whole = pairs.len() == count;
    (pairs, is_whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_used_again_and_few_are_kept() {
        let mut copier = Copier::default();
        let copy = |copier: &mut Copier| copier.pack(b"k", &[("a", b"1")], true, &[b'x'; 1_000]);
        for _ in 0..1_000 {
            drop(copy(&mut copier));
        }
        assert!(copier.full.len() <= 1, "{}", copier.full.len());
        let kept: Vec<Record> = (0..10_000).map(|_| copy(&mut copier)).collect();
        assert!(copier.full.len() <= FULL_COUNT_MAX, "{}", copier.full.len());
        assert!(kept.iter().all(|record| record.body()[..] == [b'x'; 1_000]));
    }

    #[test]
    fn small_and_large_records_keep_all_their_parts() {
        let mut copier = Copier::default();
        let large = vec![b'x'; 2 * CHUNK_BYTES];
        let bodies: [&[u8]; 4] = [b"", b"{}", &large, &large[..CHUNK_BYTES / 10]];
        let mut kept = Vec::new();
        for round in 0..40 {
            for body in bodies {
                for pairs in [vec![], vec![("", &b""[..])], vec![("a", &b"1"[..]), ("b", b""), ("c", b"333")]] {
                    for key in [&b""[..], b"k"] {
                        let record = copier.pack(key, &pairs, round % 2 == 0, body);
                        kept.push((record, key, pairs.clone(), round % 2 == 0, body));
                    }
                }
            }
        }
        for (record, key, pairs, is_whole, body) in kept {
            assert_eq!(record.key().unwrap_or_default(), key);
            assert_eq!((record.is_whole(), &record.body()[..]), (is_whole, body));
            let read: Vec<(&[u8], Bytes)> = record.headers().map(|(name, value)| (name, record.value(value))).collect();
            let written: Vec<(&[u8], Bytes)> =
                pairs.iter().map(|(name, value)| (name.as_bytes(), Bytes::copy_from_slice(value))).collect();
            assert_eq!(read, written);
        }
    }
}
