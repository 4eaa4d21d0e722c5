//! A destination as a row: JSON, as there are few and people may want to read them.

use bus::{Destination, Error, ErrorKind, Group, Result};
use serde::{Deserialize, Serialize};

use crate::topology::Record;

const VERSION: u32 = 1;

#[derive(Serialize, Deserialize)]
struct Stored {
    version: u32,
    destination: String,
    has_dead_letters: bool,
    queues: Vec<StoredQueue>,
}

#[derive(Serialize, Deserialize)]
struct StoredQueue {
    number: u32,
    group: Option<String>,
}

pub(super) fn encode(record: &Record) -> Result<Vec<u8>> {
    let queues = record.queues.iter();
    let stored = Stored {
        version: VERSION,
        destination: record.destination.as_str().to_owned(),
        has_dead_letters: record.has_dead_letters,
        queues: queues
            .map(|(group, number)| StoredQueue { number: *number, group: group.as_ref().map(ToString::to_string) })
            .collect(),
    };
    serde_json::to_vec(&stored)
        .map_err(|error| Error::new(ErrorKind::Unexpected, "declare", "a destination has no JSON").caused_by(error))
}

/// Why it could not be read, otherwise.
pub(super) fn decode(bytes: &[u8]) -> Result<Record, String> {
    let stored: Stored = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
    if stored.version != VERSION {
        return Err(format!("version {} of a destination, this build reads {VERSION}", stored.version));
    }
    let mut queues = Vec::with_capacity(stored.queues.len());
    for StoredQueue { number, group } in stored.queues {
        let group = group.map(|name| Group::new(&name)).transpose().map_err(|error| error.to_string())?;
        queues.push((group, number));
    }
    let destination = Destination::new(&stored.destination).map_err(|error| error.to_string())?;
    Ok(Record { destination, has_dead_letters: stored.has_dead_letters, queues })
}
