//! What one write changes.

use bus::{Error, ErrorKind, Message, Result};
use journal::{VALUE_BYTES_MAX, Write};

use super::record;
use super::rows;
use crate::topology::Record;

/// The first byte of a key says what its row is.
pub(super) const MESSAGE: u8 = b'm';
/// A destination.
pub(super) const DESTINATION: u8 = b'd';
/// A row that could not be read, under its old key: kept for a person to look at.
pub(super) const UNREADABLE: u8 = b'x';

/// Where a message is kept: its number, and over how many rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Row {
    pub(super) number: u64,
    pub(super) chunk_count: u32,
}

/// Changes that are written together.
#[derive(Debug, Default)]
pub(crate) struct Entries(Write);

impl Entries {
    pub(crate) fn declare(&mut self, record: &Record) -> Result<()> {
        let value = record::encode(record)?;
        if value.len() > VALUE_BYTES_MAX {
            let text = "the destination has more groups than the journal takes";
            return Err(Error::new(ErrorKind::TooLarge, "declare", text).with("destination", &record.destination));
        }
        let key = [&[DESTINATION], record.destination.as_str().as_bytes()].concat();
        self.0.put(key, value);
        Ok(())
    }

    /// Puts a message, due at a calendar time in milliseconds if it is delayed.
    pub(crate) fn put(&mut self, queue: u32, number: u64, message: &Message, due: Option<i64>) -> Row {
        let bytes = rows::encode(message, due);
        let mut chunk_count = 0;
        for chunk in bytes.chunks(VALUE_BYTES_MAX) {
            self.0.put(message_key(queue, number, chunk_count), chunk);
            chunk_count += 1;
        }
        Row { number, chunk_count }
    }

    pub(crate) fn delete(&mut self, queue: u32, row: Row) {
        for chunk in 0..row.chunk_count {
            self.0.delete(message_key(queue, row.number, chunk));
        }
    }

    /// Moves a row to those that could not be read.
    pub(super) fn set_aside(&mut self, key: Vec<u8>, value: Vec<u8>) {
        let aside = [&[UNREADABLE], &key[..]].concat();
        self.0.put(aside, value).delete(key);
    }

    pub(super) fn into_write(self) -> Write {
        self.0
    }
}

/// Big-endian, so that the rows of a queue are in the order of acceptance, and chunks in sequence.
fn message_key(queue: u32, number: u64, chunk: u32) -> Vec<u8> {
    [&[MESSAGE], &queue.to_be_bytes()[..], &number.to_be_bytes(), &chunk.to_be_bytes()].concat()
}

/// Queue, number and chunk of a message's key.
pub(super) fn read_message_key(key: &[u8]) -> Option<(u32, u64, u32)> {
    let (queue, rest) = key.strip_prefix(&[MESSAGE])?.split_first_chunk()?;
    let (number, rest) = rest.split_first_chunk()?;
    let chunk = <[u8; 4]>::try_from(rest).ok()?;
    Some((u32::from_be_bytes(*queue), u64::from_be_bytes(*number), u32::from_be_bytes(chunk)))
}
