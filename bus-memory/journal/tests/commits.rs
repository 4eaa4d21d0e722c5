//! What a commit promises.
#![allow(clippy::unwrap_used, reason = "tests")]

use journal::{Error, Journal, KEY_BYTES_MAX, OpenError, Options, VALUE_BYTES_MAX, View, Write};
use tempfile::TempDir;
use tokio::task::JoinSet;

fn open() -> (TempDir, Journal) {
    let dir = tempfile::tempdir().unwrap();
    let journal = reopen(&dir);
    (dir, journal)
}

fn reopen(dir: &TempDir) -> Journal {
    Journal::open(dir.path(), Options::new("a test")).unwrap()
}

fn write(key: impl Into<Vec<u8>>, value: impl Into<Vec<u8>>) -> Write {
    let mut write = Write::new();
    write.put(key, value);
    write
}

async fn put(journal: &Journal, key: &str, value: &str) {
    let write = write(key, value);
    journal.commit(move |_| (write, ())).await.unwrap();
}

#[tokio::test]
async fn a_commit_is_found_after_reopening() {
    let (dir, journal) = open();
    put(&journal, "kept", "1").await;
    put(&journal, "deleted", "2").await;
    let mut deletion = Write::new();
    deletion.delete("deleted").delete("never there");
    journal.commit(move |_| (deletion, ())).await.unwrap();
    journal.close().await.unwrap();

    let journal = reopen(&dir);
    assert_eq!(journal.get(b"kept").await.unwrap(), Some(b"1".to_vec()));
    assert_eq!(journal.get(b"deleted").await.unwrap(), None);
}

#[tokio::test]
async fn the_last_operation_on_a_key_counts() {
    let (_dir, journal) = open();
    let mut write = Write::new();
    write.put("a", "1").delete("a").put("b", "1").put("b", "2").delete("c").put("c", "3");
    journal.commit(move |_| (write, ())).await.unwrap();
    assert_eq!(journal.get(b"a").await.unwrap(), None);
    assert_eq!(journal.get(b"b").await.unwrap(), Some(b"2".to_vec()));
    assert_eq!(journal.get(b"c").await.unwrap(), Some(b"3".to_vec()));
}

#[tokio::test]
async fn of_a_thousand_check_and_puts_exactly_one_wins() {
    let (_dir, journal) = open();
    let mut tasks = JoinSet::new();
    for task in 0..1_000_u32 {
        let journal = journal.clone();
        tasks.spawn(async move {
            let check_and_put = move |view: &View<'_>| match view.get(b"prize") {
                Some(_) => (Write::new(), None),
                None => (write("prize", task.to_be_bytes()), Some(task)),
            };
            journal.commit(check_and_put).await.unwrap()
        });
    }
    let winners: Vec<u32> = tasks.join_all().await.into_iter().flatten().collect();
    assert_eq!(winners.len(), 1, "{winners:?}");
    let prize = journal.get(b"prize").await.unwrap();
    assert_eq!(prize, Some(winners[0].to_be_bytes().to_vec()));
}

#[tokio::test]
async fn numbers_given_out_by_concurrent_changes_have_no_gap_and_no_double() {
    let (_dir, journal) = open();
    let mut tasks = JoinSet::new();
    for _ in 0..500 {
        let journal = journal.clone();
        tasks.spawn(async move {
            let next = |view: &View<'_>| {
                let last = view.last_in_prefix(b"number/").map(|(key, _)| key);
                let number = last.map_or(0, |key| 1 + u32::from_be_bytes(key[b"number/".len()..].try_into().unwrap()));
                (write([b"number/".as_slice(), &number.to_be_bytes()].concat(), ""), number)
            };
            journal.commit(next).await.unwrap()
        });
    }
    let mut numbers = tasks.join_all().await;
    numbers.sort_unstable();
    assert!(numbers.into_iter().eq(0..500));
}

#[tokio::test]
async fn what_is_too_large_is_refused_and_the_next_commit_works() {
    let (_dir, journal) = open();
    let cases = [
        (write("key", vec![0; VALUE_BYTES_MAX]), None),
        (write("key", vec![0; VALUE_BYTES_MAX + 1]), Some("value")),
        (write(vec![0; KEY_BYTES_MAX], ""), None),
        (write(vec![0; KEY_BYTES_MAX + 1], ""), Some("key")),
    ];
    for (write, expected) in cases {
        let later = journal.commit_later(write.clone());
        let committed = journal.commit(move |_| (write, ())).await;
        for outcome in [later, committed] {
            let refused = match outcome {
                Ok(()) => None,
                Err(Error::TooLarge { what, .. }) => Some(what),
                Err(error) => panic!("{error}"),
            };
            assert_eq!(refused, expected);
        }
    }
    put(&journal, "next", "1").await;
    assert_eq!(journal.get(b"key").await.unwrap(), Some(vec![0; VALUE_BYTES_MAX]));
}

#[tokio::test]
async fn a_panic_in_a_change_stays_there() {
    let (_dir, journal) = open();
    let panics = |_: &View<'_>| -> (Write, ()) { panic!("on purpose") };
    let error = journal.commit(panics).await.unwrap_err();
    assert!(matches!(error, Error::Panicked { .. }), "{error:?}");
    assert!(error.to_string().contains("on purpose"), "{error}");
    put(&journal, "next", "1").await;
}

#[tokio::test]
async fn closing_drains_the_queue_and_can_be_repeated() {
    let (dir, journal) = open();
    for number in 0..3_000_u32 {
        journal.commit_later(write(number.to_be_bytes(), "")).unwrap();
    }
    let other = journal.clone();
    let (first, second) = tokio::join!(journal.close(), other.close());
    first.unwrap();
    second.unwrap();
    journal.close().await.unwrap();
    let committed = journal.commit(|_| (Write::new(), ())).await;
    assert!(matches!(committed, Err(Error::Closed)), "{committed:?}");
    assert!(matches!(journal.commit_later(Write::new()), Err(Error::Closed)));
    assert!(matches!(journal.get(b"key").await, Err(Error::Closed)));

    let journal = reopen(&dir);
    for number in 0..3_000_u32 {
        assert!(journal.get(&number.to_be_bytes()).await.unwrap().is_some(), "{number}");
    }
}

#[tokio::test]
async fn the_last_handle_may_be_dropped_inside_a_change() {
    let (dir, journal) = open();
    let inner = journal.clone();
    let write = write("key", "value");
    {
        let mut commit = std::pin::pin!(journal.commit(move |_| {
            drop(inner);
            (write, ())
        }));
        // Queued and then forgotten, as by a task that is aborted.
        std::future::poll_fn(|context| {
            let _ = commit.as_mut().poll(context);
            std::task::Poll::Ready(())
        })
        .await;
    }
    drop(journal);
    // If the committer had the last handle, nobody is left to wait for it but the next opener.
    let journal = loop {
        match Journal::open(dir.path(), Options::new("a test")) {
            Err(OpenError::Held { .. }) => std::thread::yield_now(),
            opened => break opened.unwrap(),
        }
    };
    assert_eq!(journal.get(b"key").await.unwrap(), Some(b"value".to_vec()));
}

#[tokio::test]
async fn no_page_grows_into_a_file_that_sled_does_not_sync() {
    let (dir, journal) = open();
    // The largest entries there can be, in an order that splits and merges leaves.
    let key = |number: u32| [number.to_be_bytes().as_slice(), &[7; KEY_BYTES_MAX - 4]].concat();
    for number in 0..400_u32 {
        journal.commit_later(write(key(number * 7 % 400), vec![1; VALUE_BYTES_MAX])).unwrap();
    }
    for number in (0..400).rev().filter(|number| number % 5 != 0) {
        let mut deletion = Write::new();
        deletion.delete(key(number));
        journal.commit_later(deletion).unwrap();
    }
    journal.close().await.unwrap();
    let blobs = std::fs::read_dir(dir.path().join("blobs")).unwrap().count();
    assert_eq!(blobs, 0);
    let journal = reopen(&dir);
    assert!(journal.get(&key(395)).await.unwrap().is_some());
    assert!(journal.get(&key(394)).await.unwrap().is_none());
}

#[tokio::test]
async fn the_file_grows_with_what_is_kept_and_not_with_what_was_written() {
    const KEPT: u32 = 500;
    const WRITTEN: u32 = 60_000;
    let (dir, journal) = open();
    for number in 0..WRITTEN {
        let mut write = write(number.to_be_bytes(), vec![3; 900]);
        if let Some(old) = number.checked_sub(KEPT) {
            write.delete(old.to_be_bytes());
        }
        journal.commit_later(write).unwrap();
        // Lets the groups be full, and the queue not longer than a few of them.
        if number % 4_096 == 0 {
            journal.commit(|_| (Write::new(), ())).await.unwrap();
        }
    }
    journal.close().await.unwrap();
    let file_bytes = std::fs::metadata(dir.path().join("db")).unwrap().len();
    // 52 MiB were written. Eight segments of 4 MiB: those in use, being freed, and being filled.
    assert!(file_bytes <= 8 * 4 * 1024 * 1024, "{file_bytes} bytes");
}
