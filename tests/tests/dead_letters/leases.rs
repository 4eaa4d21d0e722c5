//! Runs that outlast the leases of what they hold.

use bus::capability::LeaseTerms;
use bus::dead_letter::{Ended, Filter, Replay};
use bus::{Bus, SubscribeOptions, Subscription};
use bus_memory::MemoryOptions;
use tests::world::in_virtual_time;

use super::*;

/// 30 to be replayed, one a second; 20 others are held meanwhile, some of them from the beginning.
async fn buried(rig: &Rig) -> Replay {
    for id in numbered(50) {
        let is_other = id.ends_with(['0', '1', '2', '3']);
        bury(rig, &[&id], if is_other { "other" } else { "meant" }).await;
    }
    let filter = Filter { reason_contains: Some("meant".to_owned()), ..Filter::default() };
    Replay { filter, ..paced(1) }
}

/// How often each dead letter left was handed out, this time included.
async fn receive_counts(rig: &Rig) -> Vec<Option<u32>> {
    let graves = Subscription::to(rig.queue.dead_letters().expect("a short name"));
    let receiver = rig.bus.subscribe(&graves, SubscribeOptions::default()).await.expect("declared");
    let mut deliveries: Vec<Delivery> = Vec::new();
    receiver.receive(100, &mut deliveries).await.expect("some are left");
    deliveries.iter().map(Delivery::receive_count).collect()
}

#[test]
fn what_a_long_replay_holds_stays_its_own_and_is_given_back_uncounted() {
    in_virtual_time(async {
        let rig = Rig::new().await;
        let replay = buried(&rig).await;
        let short = of(&rig).with_lease(6 * SECOND);
        let replayed = short.replay(replay, CancellationToken::new(), |_| ()).await.expect("declared");
        assert!(rig.elapsed() > 20 * SECOND, "no lease would have ended in {:?}", rig.elapsed());
        assert_eq!((replayed.progress.examined_count, replayed.progress.replayed_count), (50, 30), "{replayed:?}");
        assert_eq!(back(&rig).await.len(), 30);
        assert_eq!(receive_counts(&rig).await, vec![Some(1); 20], "no lease was lost");
    });
}

#[test]
fn an_extension_that_fails_is_tried_again_before_the_lease_ends() {
    in_virtual_time(async {
        let rig = Rig::new().await;
        let replay = buried(&rig).await;
        rig.meddler.fail_extensions("m0", 2);
        let short = of(&rig).with_lease(6 * SECOND);
        let replayed = short.replay(replay, CancellationToken::new(), |_| ()).await.expect("declared");
        assert_eq!(replayed.progress.replayed_count, 30, "{replayed:?}");
        assert_eq!(receive_counts(&rig).await, vec![Some(1); 20], "no lease was lost");
    });
}

#[test]
fn leases_that_cannot_be_kept_are_met_again_without_being_looked_at_or_sent_twice() {
    let terms = [
        LeaseTerms { duration: Some(6 * SECOND), extendable: true, total_max: Some(10 * SECOND) },
        LeaseTerms { duration: Some(6 * SECOND), extendable: false, total_max: None },
        LeaseTerms { duration: None, extendable: false, total_max: None },
    ];
    for lease in terms {
        in_virtual_time(async {
            let rig = Rig::on(MemoryOptions { lease, ..MemoryOptions::default() }).await;
            let replay = buried(&rig).await;
            let short = of(&rig).with_lease(6 * SECOND);
            let replayed = short.replay(replay, CancellationToken::new(), |_| ()).await.expect("declared");
            assert!(matches!(replayed.ended, Ended::Complete), "{lease:?} {replayed:?}");
            assert_eq!((replayed.progress.examined_count, replayed.progress.replayed_count), (50, 30), "{lease:?}");
            assert_eq!((replayed.progress.died_again_count, replayed.progress.unremoved_count), (0, 0), "{lease:?}");
            assert_eq!((back(&rig).await.len(), all(&rig).await.len()), (30, 20), "{lease:?}");
            if lease.extendable || lease.duration.is_none() {
                assert_eq!(receive_counts(&rig).await, vec![Some(1); 20], "{lease:?}: handed back before the end");
            }
        });
    }
}

#[test]
fn what_is_no_longer_held_when_its_turn_comes_is_not_sent() {
    in_virtual_time(async {
        let lease = LeaseTerms { duration: Some(SECOND / 2), extendable: false, total_max: None };
        let rig = Rig::on(MemoryOptions { lease, ..MemoryOptions::default() }).await;
        bury(&rig, &["m1", "m2"], "bad").await;
        let graves = Subscription::to(rig.queue.dead_letters().expect("a short name"));
        let rival = rig.bus.subscribe(&graves, SubscribeOptions::default()).await.expect("declared");
        let discarding = async {
            // The second waits for its turn, and its lease ends before that.
            rig.pass(SECOND / 4).await;
            let mut deliveries: Vec<Delivery> = Vec::new();
            rival.receive(1, &mut deliveries).await.expect("the lease has ended");
            let acks: Vec<_> = deliveries.into_iter().map(Delivery::ack).collect();
            assert!(rival.settle(acks).await.iter().all(bus::SettleOutcome::is_settled));
        };
        let short = of(&rig).with_lease(SECOND / 2);
        let (replayed, ()) = tokio::join!(short.replay(paced(1), CancellationToken::new(), |_| ()), discarding);
        assert_eq!(replayed.expect("declared").progress.replayed_count, 1);
        assert_eq!(back(&rig).await, ["m1"], "the second was discarded");
    });
}
