//! What a scan promises, seen from the handle and from within a change.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeMap;
use std::ops::Bound::{self, Excluded, Included, Unbounded};

use journal::{Direction, Journal, Options, Write};

type Bounds = (Bound<Vec<u8>>, Bound<Vec<u8>>);
type Entries = Vec<(Vec<u8>, Vec<u8>)>;

const DIRECTIONS: [Direction; 2] = [Direction::Forward, Direction::Backward];

/// What a sorted map says the scan should find.
fn model_scan(
    model: &BTreeMap<Vec<u8>, Vec<u8>>,
    (start, end): &Bounds,
    direction: Direction,
    limit: usize,
) -> Entries {
    let is_within = |key: &Vec<u8>| {
        (match start {
            Included(start) => key >= start,
            Excluded(start) => key > start,
            Unbounded => true,
        }) && (match end {
            Included(end) => key <= end,
            Excluded(end) => key < end,
            Unbounded => true,
        })
    };
    let within = model.iter().filter(|(key, _)| is_within(key));
    let owned = |(key, value): (&Vec<u8>, &Vec<u8>)| (key.clone(), value.clone());
    match direction {
        Direction::Forward => within.take(limit).map(owned).collect(),
        Direction::Backward => within.rev().take(limit).map(owned).collect(),
    }
}

fn all_bounds(keys: &[&[u8]]) -> Vec<Bounds> {
    let mut bounds = vec![Unbounded];
    for key in keys {
        bounds.extend([Included(key.to_vec()), Excluded(key.to_vec())]);
    }
    let pairs = bounds.iter().flat_map(|start| bounds.iter().map(move |end| (start, end)));
    pairs.map(|(start, end)| (start.clone(), end.clone())).collect()
}

#[tokio::test]
async fn a_scan_finds_what_a_sorted_map_would() {
    let dir = tempfile::tempdir().unwrap();
    let journal = Journal::open(dir.path(), Options::new("a test")).unwrap();
    let mut model = BTreeMap::new();
    let mut stored = Write::new();
    // Enough for several leaves, with keys that are prefixes of each other.
    for number in 0..300_u16 {
        let key = format!("{}", number * 31 % 300).into_bytes();
        stored.put(key.clone(), number.to_be_bytes());
        model.insert(key, number.to_be_bytes().to_vec());
    }
    for key in [b"".to_vec(), vec![0], vec![255], vec![255; 3]] {
        stored.put(key.clone(), "edge");
        model.insert(key, b"edge".to_vec());
    }
    journal.commit(move |_| (stored, ())).await.unwrap();

    let ranges = all_bounds(&[b"", &[0], b"1", b"15", b"150", b"2", b"290", b"nothing", &[255]]);
    for bounds in ranges {
        for direction in DIRECTIONS {
            for limit in [0, 1, 7, 1_000] {
                let found = journal.scan(bounds.clone(), direction, limit).await.unwrap();
                let expected = model_scan(&model, &bounds, direction, limit);
                assert_eq!(found, expected, "{bounds:?} {direction:?} {limit}");
            }
        }
    }
}

#[tokio::test]
async fn a_change_scans_the_earlier_changes_of_its_own_group() {
    let dir = tempfile::tempdir().unwrap();
    let journal = Journal::open(dir.path(), Options::new("a test")).unwrap();
    let mut model = BTreeMap::new();
    for number in 0..60_u8 {
        let mut stored = Write::new();
        stored.put([number], "stored");
        journal.commit_later(stored).unwrap();
        model.insert(vec![number], b"stored".to_vec());
    }
    journal.commit(|_| (Write::new(), ())).await.unwrap();
    // Queued together, so most of these share a group with the scans after them: overwritten,
    // deleted, and new.
    for number in (0..90_u8).step_by(3) {
        let mut written = Write::new();
        if number % 2 == 0 {
            written.put([number], "written");
            model.insert(vec![number], b"written".to_vec());
        } else {
            written.delete([number]);
            model.remove([number].as_slice());
        }
        journal.commit_later(written).unwrap();
    }
    let ranges = all_bounds(&[&[0], &[3], &[29], &[30], &[31], &[84], &[200]]);
    let found = journal
        .commit({
            let ranges = ranges.clone();
            move |view| {
                let scan = |bounds: &Bounds, direction| view.scan(bounds.clone(), direction, 20);
                let found: Vec<_> =
                    ranges.iter().flat_map(|bounds| DIRECTIONS.map(|direction| scan(bounds, direction))).collect();
                (Write::new(), found)
            }
        })
        .await
        .unwrap();
    let expected =
        ranges.iter().flat_map(|bounds| DIRECTIONS.map(|direction| model_scan(&model, bounds, direction, 20)));
    assert!(found.into_iter().eq(expected));
}

#[tokio::test]
async fn the_last_in_a_prefix_is_found_at_every_edge() {
    let dir = tempfile::tempdir().unwrap();
    let journal = Journal::open(dir.path(), Options::new("a test")).unwrap();
    let cases: [(&[u8], Option<&[u8]>); 5] = [
        (b"a", Some(b"ab")),
        (b"ab", Some(b"ab")),
        (b"b", None),
        (&[255], Some(&[255, 255, 255])),
        (b"", Some(&[255, 255, 255])),
    ];
    let found = journal
        .commit(move |_| {
            let mut write = Write::new();
            write.put("a", "").put("aa", "").put("ab", "").put("c", "").put([255; 3], "");
            (write, ())
        })
        .await;
    found.unwrap();
    for (prefix, expected) in cases {
        let last = journal.commit(move |view| (Write::new(), view.last_in_prefix(prefix))).await.unwrap();
        assert_eq!(last.map(|(key, _)| key).as_deref(), expected, "{prefix:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_scan_shows_all_of_a_change_or_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let journal = Journal::open(dir.path(), Options::new("a test")).unwrap();
    let mut tasks = tokio::task::JoinSet::new();
    let writer = journal.clone();
    tasks.spawn(async move {
        for round in 0..100_u32 {
            // Spread over many leaves, so that a walk takes a while.
            let change = move |_: &journal::View<'_>| {
                let mut write = Write::new();
                for number in 0..200_u32 {
                    write.put(number.to_be_bytes(), round.to_be_bytes());
                }
                (write, ())
            };
            writer.commit(change).await.unwrap();
        }
    });
    while tasks.try_join_next().is_none() {
        let entries = journal.scan((Unbounded, Unbounded), Direction::Forward, 1_000).await.unwrap();
        let first = entries.first().map(|(_, round)| round.clone());
        assert!(entries.iter().all(|(_, round)| Some(round) == first.as_ref()));
        tokio::task::yield_now().await;
    }
}
