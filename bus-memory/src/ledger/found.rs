//! What a start finds in the journal.

use std::ops::Bound;
use std::time::Duration;

use bus::{Message, Seams};
use bytes::Bytes;
use journal::{Direction, Error, Journal};

use super::entries::{DESTINATION, Entries, MESSAGE, Row, read_message_key};
use super::{record, rows};
use crate::MemoryOptions;
use crate::queue::{Draft, LaneKey, Load};
use crate::topology::{Record, Topology};

/// Rows read at a time: at most 8 MiB of the longest values.
const PAGE_COUNT: usize = 256;

/// Destinations and unsettled messages, in the order of acceptance per queue.
#[derive(Debug, Default)]
pub(crate) struct Found {
    records: Vec<Record>,
    messages: Vec<FoundMessage>,
}

#[derive(Debug)]
struct FoundMessage {
    queue: u32,
    row: Row,
    message: Message,
    /// Calendar milliseconds.
    due: Option<i64>,
}

type KeyValue = (Vec<u8>, Vec<u8>);

impl Found {
    /// Reads everything. What cannot be read is set aside under another key, and told.
    pub(super) async fn read(journal: &Journal) -> Result<Self, Error> {
        let (mut found, mut aside) = (Self::default(), Entries::default());
        for (key, value) in rows_of(journal, DESTINATION).await? {
            match record::decode(&value) {
                Ok(record) => found.records.push(record),
                Err(reason) => set_aside(&mut aside, vec![(key, value)], &reason),
            }
        }
        let mut message_rows = rows_of(journal, MESSAGE).await?.into_iter().peekable();
        while let Some(first) = message_rows.next() {
            let mut chunks = vec![first];
            while let Some(next) = message_rows.next_if(|next| is_same_message(&chunks[0].0, &next.0)) {
                chunks.push(next);
            }
            match found.assemble(&chunks) {
                Ok(message) => found.messages.push(message),
                Err(reason) => set_aside(&mut aside, chunks, &reason),
            }
        }
        journal.commit(move |_| (aside.into_write(), ())).await?;
        let (destination_count, message_count) = (found.records.len(), found.messages.len());
        tracing::info!(destination_count, message_count, "the journal was read");
        Ok(found)
    }

    fn assemble(&self, chunks: &[KeyValue]) -> Result<FoundMessage, String> {
        let (queue, number, _) = read_message_key(&chunks[0].0).ok_or("its key is not one of a message")?;
        if !self.records.iter().any(|record| record.queues.iter().any(|(_, known)| *known == queue)) {
            return Err(format!("no readable destination has queue {queue}"));
        }
        let bytes: Vec<u8> = chunks.iter().flat_map(|(_, value)| value.iter().copied()).collect();
        let (message, due) = rows::decode(&bytes.into())?;
        let chunk_count = u32::try_from(chunks.len()).map_err(|error| error.to_string())?;
        Ok(FoundMessage { queue, row: Row { number, chunk_count }, message, due })
    }

    /// The largest message number in use.
    pub(super) fn last_number(&self) -> u64 {
        self.messages.iter().map(|found| found.row.number).max().unwrap_or(0)
    }

    /// A topology with every message on its queue: capacity bounds what is accepted from now on.
    pub(crate) fn restore(self, seams: &Seams, options: &MemoryOptions) -> Topology {
        let mut topology = Topology::default();
        topology.apply(&self.records, seams, options);
        let queues = topology.queues();
        let now = seams.clock.wall().as_millisecond();
        let mut messages = self.messages.into_iter().peekable();
        while let Some(number) = messages.peek().map(|next| next.queue) {
            let drafts = std::iter::from_fn(|| messages.next_if(|next| next.queue == number));
            let drafts: Vec<Draft> = drafts.map(|found| draft(found, now)).collect();
            let queue = queues.iter().find(|queue| queue.number() == number).expect("checked when it was assembled");
            queue.room().add(Load { count: drafts.len(), bytes: drafts.iter().map(|draft| draft.bytes).sum() });
            queue.accept(drafts);
        }
        topology
    }
}

fn draft(found: FoundMessage, now: i64) -> Draft {
    let FoundMessage { row, message, due, .. } = found;
    let left = due.map_or(0, |due| due.saturating_sub(now));
    let delay = Duration::from_millis(u64::try_from(left).unwrap_or(0));
    Draft { bytes: message.size_bytes(), lane: LaneKey::of(message.key()), message, delay, row }
}

async fn rows_of(journal: &Journal, kind: u8) -> Result<Vec<KeyValue>, Error> {
    let mut rows: Vec<KeyValue> = Vec::new();
    let end = Bound::Excluded(vec![kind + 1]);
    let mut start = Bound::Included(vec![kind]);
    loop {
        let page = journal.scan((start, end.clone()), Direction::Forward, PAGE_COUNT).await?;
        let Some((last, _)) = page.last() else { return Ok(rows) };
        start = Bound::Excluded(last.clone());
        rows.extend(page);
    }
}

fn is_same_message(one: &[u8], other: &[u8]) -> bool {
    match (read_message_key(one), read_message_key(other)) {
        (Some((queue, number, _)), Some((other_queue, other_number, _))) => {
            (queue, number) == (other_queue, other_number)
        }
        _ => false,
    }
}

fn set_aside(aside: &mut Entries, rows: Vec<KeyValue>, reason: &str) {
    for (key, value) in rows {
        tracing::error!(key = %Bytes::from(key.clone()).escape_ascii(), reason, "a row of the journal cannot be read and was set aside");
        aside.set_aside(key, value);
    }
}
