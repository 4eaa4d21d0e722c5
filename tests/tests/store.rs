//! What every `Store` promises, held against the specification and the one on disk alike.

use std::sync::Arc;
use std::time::Duration;

use bus::outbox::Outbox;
use bus::{ClockExt, Destination, Message, Outgoing, Seams};
use bytes::Bytes;
use futures_util::FutureExt;
use jiff::Timestamp;
use proptest::collection::vec;
use proptest::prelude::*;
use services::store::{
    Batch, Direction, JournaledStore, Key, Mailbox, MemoryStore, Range, Store, Table, Written, prune,
};
use tests::world::in_virtual_time;

/// Runs `promise` on both implementations.
fn on_both(promise: impl AsyncFn(&dyn Store) + Copy) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        promise(&MemoryStore::new()).await;
        let directory = tempfile::tempdir().expect("a temporary directory");
        let store = JournaledStore::open(directory.path(), "a test").expect("opened");
        promise(&store).await;
        store.close().await.expect("closed");
    });
}

fn key(name: &str) -> Key {
    Table::Orders.key(name)
}

async fn value(store: &dyn Store, name: &str) -> Option<Bytes> {
    store.get(&key(name)).await.expect("answered")
}

async fn apply(store: &dyn Store, batch: Batch) -> Written {
    store.apply(batch).await.expect("answered")
}

#[test]
fn a_batch_whose_condition_fails_writes_nothing_and_names_the_key() {
    on_both(async |store| {
        let batch = Batch::new().put(key("a"), "1").expect(key("b"), Some("x".into())).put(key("c"), "2");
        assert_eq!(apply(store, batch).await, Written::Rejected(key("b")));
        assert_eq!((value(store, "a").await, value(store, "c").await), (None, None));
    });
}

#[test]
fn conditions_see_what_the_same_batch_wrote_before_them() {
    on_both(async |store| {
        let batch = Batch::new().put(key("a"), "1").expect(key("a"), Some("1".into())).delete(key("a"));
        assert_eq!(apply(store, batch.expect(key("a"), None)).await, Written::Applied(vec![]));
        assert_eq!(value(store, "a").await, None);
    });
}

#[test]
fn appended_numbers_rise_and_never_come_twice_even_when_rows_are_gone() {
    on_both(async |store| {
        let append = || Batch::new().append(Table::Outbox, "row");
        assert_eq!(apply(store, append().and(append())).await, Written::Applied(vec![1, 2]));
        apply(store, Batch::new().delete(Table::Outbox.number(1)).delete(Table::Outbox.number(2))).await.or_fail();
        assert_eq!(apply(store, append()).await, Written::Applied(vec![3]));
        assert_eq!(apply(store, Batch::new().append(Table::Changes, "row")).await, Written::Applied(vec![1]));
    });
}

#[test]
fn a_sum_never_falls_below_its_bound() {
    on_both(async |store| {
        let take = |units: i128| Batch::new().add(key("stock"), -units, Some(-10));
        assert_eq!(apply(store, take(7)).await, Written::Applied(vec![]));
        assert_eq!(apply(store, take(4)).await, Written::Rejected(key("stock")));
        assert_eq!(apply(store, take(3)).await, Written::Applied(vec![]));
    });
}

#[test]
fn scans_keep_to_their_range_direction_and_limit() {
    on_both(async |store| {
        let numbers = (1..=5).fold(Batch::new(), |batch, number| batch.put(Table::Changes.number(number), "x"));
        apply(store, numbers.put(Table::Outbox.number(9), "x").put(Table::Idempotency.key("k"), "x")).await.or_fail();
        let check = async |range: Range, direction, limit, expected: &[u64]| {
            let found = store.scan(&range, direction, limit).await.expect("answered");
            let found: Vec<u64> = found.iter().filter_map(|(key, _)| key.last_number()).collect();
            assert_eq!(found, expected, "{range:?} {direction:?} {limit}");
        };
        check(Table::Changes.all(), Direction::Forward, 9, &[1, 2, 3, 4, 5]).await;
        check(Table::Changes.all().after(&Table::Changes.number(2)), Direction::Forward, 2, &[3, 4]).await;
        check(Table::Changes.all().before(&Table::Changes.number(4)), Direction::Backward, 2, &[3, 2]).await;
        check(Table::Changes.all().before(&Table::Changes.number(1)), Direction::Backward, 2, &[]).await;
    });
}

#[test]
fn pruning_forgets_what_has_expired_and_nothing_else() {
    on_both(async |store| {
        let row = |second: u64, name: &str| {
            let expiry = Table::IdempotencyExpiry.number(second).then(key(name).as_bytes());
            Batch::new().put(expiry, key(name).as_bytes().to_vec()).put(key(name), "x")
        };
        apply(store, row(10, "old").and(row(20, "new"))).await.or_fail();
        let now = Timestamp::from_second(15).expect("a time");
        assert_eq!(prune(store, Table::IdempotencyExpiry, now).await.expect("answered"), 1);
        assert_eq!((value(store, "old").await, value(store, "new").await.is_some()), (None, true));
    });
}

#[test]
fn what_was_applied_is_there_after_the_store_is_opened_again() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let directory = tempfile::tempdir().expect("a temporary directory");
        for round in 1..=3 {
            let store = JournaledStore::open(directory.path(), "a test").expect("opened");
            assert_eq!(apply(&store, Batch::new().append(Table::Outbox, "row")).await, Written::Applied(vec![round]));
            store.close().await.expect("closed");
        }
    });
}

#[test]
fn a_row_whose_writer_hung_up_in_mid_commit_is_found_by_who_waits_for_it() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let store = Arc::new(JournaledStore::open(directory.path(), "a test").expect("opened"));
        let seams = Seams::system();
        let mailbox = Mailbox::new(Arc::clone(&store) as _, seams.clone());
        let message = Message::new(seams.message_id("a test"), "{}");
        let outgoing = [Outgoing::new(Destination::new("orders").expect("legal"), message)];
        let hang_up = async {
            // Handed to the committer at its first poll, then dropped.
            let _ = mailbox.apply(Batch::new(), &outgoing).now_or_never();
        };
        let waiting = seams.clock.timeout(Duration::from_secs(60), mailbox.wait(0));
        let (found, ()) = futures_util::join!(waiting, hang_up);
        assert!(found.is_some(), "whoever waits is told");
        assert_eq!(mailbox.pending(0, 10).await.expect("answered").len(), 1);
        drop(mailbox);
        store.close().await.expect("closed");
    });
}

#[test]
fn a_backlog_is_counted_to_a_limit_and_as_old_as_its_oldest_message() {
    in_virtual_time(async {
        let seams = Seams::repeatable(Timestamp::UNIX_EPOCH, 1);
        let mailbox = Mailbox::new(Arc::new(MemoryStore::new()), seams.clone());
        assert_eq!(mailbox.backlog(3).await.expect("answered"), (0, None));
        for expected_count in [1, 2, 3, 3, 3] {
            let message = Message::new(seams.message_id("a test"), "{}");
            let outgoing = [Outgoing::new(Destination::new("orders").expect("legal"), message)];
            mailbox.apply(Batch::new(), &outgoing).await.expect("written").or_fail();
            let backlog = mailbox.backlog(3).await.expect("answered");
            assert_eq!(backlog, (expected_count, Some(Timestamp::UNIX_EPOCH)));
            seams.clock.sleep(Duration::from_secs(10)).await;
        }
    });
}

/// `Written` must be looked at; here only that it was written matters.
trait Checked {
    fn or_fail(self);
}

impl Checked for Written {
    fn or_fail(self) {
        assert!(matches!(self, Written::Applied(_)), "{self:?}");
    }
}

#[derive(Clone, Debug)]
enum Change {
    Expect(u8, Option<u8>),
    Put(u8, u8),
    Delete(u8),
    Append(u8),
    Add(u8, i8),
}

fn change() -> impl Strategy<Value = Change> {
    let name = 0..6_u8;
    prop_oneof![
        (name.clone(), proptest::option::of(0..3_u8)).prop_map(|(name, value)| Change::Expect(name, value)),
        (name.clone(), 0..3_u8).prop_map(|(name, value)| Change::Put(name, value)),
        name.clone().prop_map(Change::Delete),
        (0..3_u8).prop_map(Change::Append),
        (name, -3..3_i8).prop_map(|(name, amount)| Change::Add(name, amount)),
    ]
}

fn batch(changes: &[Change]) -> Batch {
    changes.iter().fold(Batch::new(), |batch, change| match *change {
        Change::Expect(name, value) => batch.expect(key(&name.to_string()), value.map(|value| vec![value].into())),
        Change::Put(name, value) => batch.put(key(&name.to_string()), vec![value]),
        Change::Delete(name) => batch.delete(key(&name.to_string())),
        Change::Append(value) => batch.append(Table::Changes, vec![value]),
        Change::Add(name, amount) => batch.add(Table::Totals.key([name]), amount.into(), Some(-5)),
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn the_store_on_disk_does_what_the_specification_does(batches in vec(vec(change(), 1..6), 1..30)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let directory = tempfile::tempdir().expect("a temporary directory");
            let (disk, model) = (JournaledStore::open(directory.path(), "a test").expect("opened"), MemoryStore::new());
            for changes in &batches {
                assert_eq!(apply(&disk, batch(changes)).await, apply(&model, batch(changes)).await, "{changes:?}");
            }
            for table in [Table::Orders, Table::Changes, Table::Totals, Table::Sequence] {
                let everything = async |store: &dyn Store| {
                    store.scan(&table.all(), Direction::Forward, usize::MAX).await.expect("answered")
                };
                assert_eq!(everything(&disk).await, everything(&model).await, "{table:?}");
            }
            disk.close().await.expect("closed");
        });
    }
}
