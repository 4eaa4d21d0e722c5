//! Stands in for the ledger in a build without the `journal` feature: there is never one.

use bus::{Error, Message, Result};

use crate::topology::Record;

/// Where a message is kept on disk: nowhere.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Row(());

/// Changes to write: none.
#[derive(Debug, Default)]
pub(crate) struct Entries(());

impl Entries {
    #[expect(clippy::unused_self, reason = "the signatures of the real ledger")]
    pub(crate) fn declare(&mut self, _record: &Record) -> Result<()> {
        Ok(())
    }

    #[expect(clippy::unused_self, reason = "the signatures of the real ledger")]
    pub(crate) fn put(&mut self, _queue: u32, _number: u64, _message: &Message, _due: Option<i64>) -> Row {
        Row(())
    }

    #[expect(clippy::unused_self, reason = "the signatures of the real ledger")]
    pub(crate) fn delete(&mut self, _queue: u32, _row: Row) {}
}

/// No value of it exists.
#[derive(Debug)]
pub(crate) enum Ledger {}

impl Ledger {
    pub(crate) fn next_number(&self) -> u64 {
        match *self {}
    }

    pub(crate) async fn commit(&self, _entries: Entries, _operation: &'static str) -> Result<()> {
        match *self {}
    }

    pub(crate) fn commit_later(&self, _entries: Entries, _operation: &'static str) -> Result<()> {
        match *self {}
    }

    pub(crate) fn failure(&self) -> Option<String> {
        match *self {}
    }

    pub(crate) async fn failed(&self) -> Error {
        match *self {}
    }

    pub(crate) async fn close(&self) -> Result<()> {
        match *self {}
    }
}
