//! How fast a replay goes.

use bus::dead_letter::Replay;
use tests::world::in_virtual_time;

use super::*;

/// Replays `count` and answers when each batch went, and how large it was.
async fn batches(count: usize, replaying: Replay) -> Vec<(Duration, usize)> {
    let rig = Rig::new().await;
    let ids = numbered(count);
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    for some in ids.chunks(100) {
        bury(&rig, some, "bad").await;
    }
    assert_eq!(replay(&rig, replaying).await.progress.replayed_count, count);
    rig.meddler.published().into_iter().map(|(at, batch)| (at, batch.len())).collect()
}

#[test]
fn a_replay_is_spaced_out_at_its_rate_in_groups_of_a_tenth_of_a_second() {
    for (per_second, count, group_count) in [(1, 5, 1), (10, 20, 1), (50, 100, 5), (400, 400, 40), (10_000, 250, 100)] {
        in_virtual_time(async {
            let batches = batches(count, paced(per_second)).await;
            let told = format!("{per_second} a second: {batches:?}");
            assert!(batches.iter().all(|(_, count)| *count <= group_count), "{told}");
            assert_eq!(batches[0].1, group_count, "{told}");
            let mut sent_count = 0;
            for (at, count) in &batches {
                let due = SECOND * u32::try_from(sent_count).expect("small") / per_second;
                assert_eq!(*at, due, "{told}");
                sent_count += count;
            }
        });
    }
}

#[test]
fn a_replay_without_a_rate_takes_no_time() {
    in_virtual_time(async {
        let batches = batches(250, Replay::default()).await;
        assert_eq!(batches, [100, 100, 50].map(|count| (Duration::ZERO, count)));
    });
}
