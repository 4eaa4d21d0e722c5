//! What opening promises: one holder, and never empty by accident.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use journal::{Journal, OpenError, Options, Write};

const COMMIT_COUNT: u32 = 300;

fn open(dir: &Path) -> Result<Journal, OpenError> {
    Journal::open(dir, Options::new("orders --role all"))
}

/// A journal with something in it, closed in good order.
async fn fill(dir: &Path) {
    let journal = open(dir).unwrap();
    for number in 0..COMMIT_COUNT {
        let change = move |_: &journal::View<'_>| {
            let mut write = Write::new();
            write.put(number.to_be_bytes(), [1; 100]);
            (write, ())
        };
        journal.commit(change).await.unwrap();
    }
    journal.close().await.unwrap();
}

async fn assert_filled(journal: &Journal) {
    for number in 0..COMMIT_COUNT {
        let value = journal.get(&number.to_be_bytes()).await.unwrap();
        assert_eq!(value, Some(vec![1; 100]), "{number}");
    }
}

fn files(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let files = fs::read_dir(dir).unwrap().map(Result::unwrap);
    let files = files.filter(|entry| entry.file_type().unwrap().is_file());
    files.map(|entry| (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap())).collect()
}

#[track_caller]
fn assert_damaged(opened: Result<Journal, OpenError>, dir: &Path) {
    let error = opened.unwrap_err();
    assert!(matches!(error, OpenError::Damaged { .. }), "{error:?}");
    let said = error.to_string();
    assert!(said.contains(dir.to_str().unwrap()) && said.contains("restore a backup"), "{said}");
}

#[tokio::test]
async fn a_second_opener_learns_who_has_the_directory() {
    let dir = tempfile::tempdir().unwrap();
    let journal = open(dir.path()).unwrap();
    let error = open(dir.path()).unwrap_err();
    assert!(matches!(error, OpenError::Held { .. }), "{error:?}");
    let holder = format!("process {} (orders --role all)", std::process::id());
    assert!(error.to_string().contains(&holder), "{error}");
    drop(journal);
}

#[tokio::test]
async fn closing_or_dropping_frees_the_directory() {
    let dir = tempfile::tempdir().unwrap();
    for _ in 0..20 {
        let journal = open(dir.path()).unwrap();
        journal.close().await.unwrap();
        drop(open(dir.path()).unwrap());
        drop(journal);
    }
}

#[tokio::test]
async fn an_unfinished_snapshot_is_removed_and_the_data_opens() {
    let dir = tempfile::tempdir().unwrap();
    fill(dir.path()).await;
    let leftover = dir.path().join("snap.7FFFFFFFFFFFFFFF.generating");
    for content in [b"".as_slice(), b"short", &[9; 100]] {
        fs::write(&leftover, content).unwrap();
        let journal = open(dir.path()).unwrap();
        assert!(!leftover.exists());
        assert_filled(&journal).await;
    }
}

#[tokio::test]
async fn a_first_start_killed_anywhere_opens() {
    let whole = tempfile::tempdir().unwrap();
    open(whole.path()).unwrap().close().await.unwrap();
    let conf = fs::read(whole.path().join("conf")).unwrap();
    let data = fs::read(whole.path().join("db")).unwrap();

    let conf_cuts = (0..conf.len()).map(|bytes| (&conf[..bytes], None));
    let data_cuts = (0..data.len()).step_by(3).map(|bytes| (&conf[..], Some(&data[..bytes])));
    for (conf, data) in conf_cuts.chain(data_cuts) {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("conf"), conf).unwrap();
        if let Some(data) = data {
            fs::write(dir.path().join("db"), data).unwrap();
        }
        let journal = open(dir.path()).unwrap();
        journal.close().await.unwrap();
        open(dir.path()).unwrap();
    }
}

#[tokio::test]
async fn lost_files_are_refused_and_the_rest_is_left_alone() {
    let garbage = |bytes: Vec<u8>| bytes.iter().map(|byte| byte.wrapping_mul(31) ^ 0xA5).collect();
    type Damage<'a> = &'a dyn Fn(Vec<u8>) -> Option<Vec<u8>>;
    let damages: [(&str, Damage<'_>); 7] = [
        ("db", &|bytes| Some(garbage(bytes))),
        ("db", &|_| Some(Vec::new())),
        ("db", &|_| None),
        ("db", &|_| Some(vec![0; 5 << 20])),
        ("conf", &|_| Some(Vec::new())),
        ("conf", &|bytes| Some(garbage(bytes))),
        ("conf", &|_| None),
    ];
    for (number, (name, damage)) in damages.into_iter().enumerate() {
        let dir = tempfile::tempdir().unwrap();
        fill(dir.path()).await;
        let file = dir.path().join(name);
        match damage(fs::read(&file).unwrap()) {
            Some(bytes) => fs::write(&file, bytes).unwrap(),
            None => fs::remove_file(&file).unwrap(),
        }
        let before = files(dir.path());
        assert_damaged(open(dir.path()), dir.path());
        assert_damaged(open(dir.path()), dir.path());
        assert!(files(dir.path()) == before, "case {number}, {name}");
    }
}

#[tokio::test]
async fn damage_within_the_data_is_refused_or_harmless() {
    let whole = tempfile::tempdir().unwrap();
    fill(whole.path()).await;
    let data = fs::read(whole.path().join("db")).unwrap();
    let mut refused_count = 0;
    for part in 0..40 {
        let dir = tempfile::tempdir().unwrap();
        for (name, bytes) in files(whole.path()) {
            fs::write(dir.path().join(name), bytes).unwrap();
        }
        let mut damaged = data.clone();
        let start = data.len() / 40 * part;
        damaged[start..start + 60].fill(0x5A);
        fs::write(dir.path().join("db"), damaged).unwrap();
        match open(dir.path()) {
            Ok(journal) => assert_filled(&journal).await,
            Err(error) => {
                assert!(matches!(error, OpenError::Damaged { .. }), "{error:?}");
                refused_count += 1;
            }
        }
    }
    assert!(refused_count > 0);
}
