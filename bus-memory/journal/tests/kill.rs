//! Killed at any moment, also while starting: every acknowledged commit is there, and whole.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::env;
use std::io::{BufRead, BufReader};
use std::ops::Bound;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use journal::{Direction, Journal, Options, View, Write};
use tokio::task::JoinSet;

/// Tells the test that it is the child, and where to write.
const CHILD_DIR: &str = "JOURNAL_KILLED_CHILD_DIR";
const TEST: &str = "every_acknowledged_commit_survives_a_kill";

/// When the child is killed.
#[derive(Clone, Copy)]
enum Moment {
    /// After so long. No result depends on the time: it only picks a place in the start-up.
    Delay(Duration),
    /// Once it has acknowledged so many commits.
    Acknowledged(usize),
}

#[tokio::test]
async fn every_acknowledged_commit_survives_a_kill() {
    if let Some(dir) = env::var_os(CHILD_DIR) {
        return commit_until_killed(Path::new(&dir)).await;
    }
    let delays = (0..25).map(|step| Moment::Delay(Duration::from_millis(2 * step)));
    let counts = (0..15).map(|step| Moment::Acknowledged(1 + step * step * 3));

    let dir = tempfile::tempdir().unwrap();
    let mut kept = Vec::new();
    for moment in delays.clone().chain(counts) {
        kept.extend(run_and_kill(dir.path(), moment));
        check(dir.path(), &kept).await;
    }
    // The very first start, each time in a new directory.
    for moment in delays {
        let dir = tempfile::tempdir().unwrap();
        let kept = run_and_kill(dir.path(), moment);
        check(dir.path(), &kept).await;
    }
}

/// The child: eight tasks number their commits without a gap, and say each number once it is kept.
async fn commit_until_killed(dir: &Path) {
    let journal = Journal::open(dir, Options::new("the killed child")).unwrap();
    let mut tasks = JoinSet::new();
    for _ in 0..8 {
        let journal = journal.clone();
        tasks.spawn(async move {
            loop {
                let number = journal.commit(next_number).await.unwrap();
                println!("kept {number}");
            }
        });
    }
    tasks.join_all().await;
}

fn next_number(view: &View<'_>) -> (Write, u32) {
    let number = view.last_in_prefix(b"a").map_or(0, |(key, _)| 1 + number_of(&key));
    let mut write = Write::new();
    for prefix in [b"a", b"b"] {
        write.put([prefix.as_slice(), &number.to_be_bytes()].concat(), vec![7; 300]);
    }
    (write, number)
}

fn number_of(key: &[u8]) -> u32 {
    u32::from_be_bytes(key[1..].try_into().unwrap())
}

/// Runs the child, kills it, and returns the numbers it said were kept.
fn run_and_kill(dir: &Path, moment: Moment) -> Vec<u32> {
    let mut child = Command::new(env::current_exe().unwrap())
        .args(["--exact", TEST, "--nocapture"])
        .env(CHILD_DIR, dir)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap());
    let mut kept = Vec::new();
    match moment {
        Moment::Delay(delay) => thread::park_timeout(delay),
        Moment::Acknowledged(count) => {
            while kept.len() < count {
                kept.extend(kept_number(&mut lines).expect("the child goes on until killed"));
            }
        }
    }
    kill(&mut child);
    while let Some(number) = kept_number(&mut lines) {
        kept.extend(number);
    }
    kept
}

fn kill(child: &mut Child) {
    child.kill().unwrap();
    let status = child.wait().unwrap();
    assert!(!status.success(), "it was killed, it did not end by itself");
}

/// `None` at the end of the output, `Some(None)` for a line that says something else.
fn kept_number(lines: &mut impl BufRead) -> Option<Option<u32>> {
    let mut line = String::new();
    lines.read_line(&mut line).unwrap();
    // A line without its end was cut by the kill: its number may be, too.
    let line = line.strip_suffix('\n')?;
    Some(line.rsplit_once("kept ").and_then(|(_, number)| number.parse().ok()))
}

async fn check(dir: &Path, kept: &[u32]) {
    let journal = Journal::open(dir, Options::new("the test")).unwrap();
    let all = (Bound::Unbounded, Bound::Unbounded);
    let entries = journal.scan(all, Direction::Forward, usize::MAX).await.unwrap();
    let count = u32::try_from(entries.len()).unwrap() / 2;
    for (prefix, half) in b"ab".iter().zip(entries.chunks(count.max(1) as usize)) {
        for (number, (key, _)) in (0..count).zip(half) {
            assert_eq!((key[0], number_of(key)), (*prefix, number), "whole, and without a gap");
        }
    }
    assert_eq!(entries.len() % 2, 0, "each commit wrote two keys");
    for number in kept {
        assert!(*number < count, "{number} was acknowledged and is lost, {count} are there");
    }
}
