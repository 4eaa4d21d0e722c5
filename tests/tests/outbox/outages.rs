//! A bus or a store that does not answer, and stopping all the same.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bus::{ClockExt, ErrorKind};
use tests::harness::{Fault, Publication};
use tests::world::in_virtual_time;
use tokio_util::sync::CancellationToken;

use crate::desk::{Desk, once};

const SECOND: Duration = Duration::from_secs(1);
/// What a relay may take to stop when its bus or its store does not answer.
const STOP_MAX: Duration = Duration::from_secs(2);

#[test]
fn a_bus_that_is_down_for_an_hour_loses_nothing_and_is_not_hammered() {
    for answer in [Publication::Lost, Publication::Refused(ErrorKind::Unavailable)] {
        in_virtual_time(async {
            let desk = Desk::new().await;
            let is_down = Arc::new(AtomicBool::new(true));
            let down = Arc::clone(&is_down);
            desk.rig
                .meddler
                .on_publish(move |_| if down.load(Ordering::Relaxed) { answer } else { Publication::Through });
            for number in 0..100 {
                desk.write(&format!("key-{}", number % 5), &[&format!("m{number:03}")]).await;
            }
            let relay = desk.relay();
            let status = relay.status();
            desk.alongside(relay, async {
                desk.rig.pass(3_600 * SECOND).await;
                assert!(status.trouble().is_some());
                assert_eq!(desk.row_count().await, 100);
                // Five keys, each at most every 15 seconds once the delay has grown, and its first tries.
                let call_count = desk.rig.meddler.call_count("publish");
                assert!((120..=5 * (240 + 8)).contains(&call_count), "{call_count} calls");
                is_down.store(false, Ordering::Relaxed);
                desk.emptied().await;
                assert!(desk.rig.elapsed() <= 3_600 * SECOND + 31 * SECOND, "{:?}", desk.rig.elapsed());
            })
            .await;
            assert_eq!((status.trouble(), status.parked_count()), (None, 0));
            let arrived = desk.arrived().await;
            assert!(arrived.values().all(|ids| ids.is_sorted() && ids.len() == 20), "{arrived:?}");
        });
    }
}

#[test]
fn a_row_that_a_broken_bus_leaves_unanswered_is_sent_again_after_a_delay() {
    in_virtual_time(async {
        let desk = Desk::new().await;
        desk.rig.meddler.on_publish(once("b1", Publication::Unanswered));
        desk.write("a", &["a1"]).await;
        desk.write("b", &["b1"]).await;
        desk.relay_all().await;
        let sent = desk.sent("b1");
        assert_eq!((sent.len(), desk.sent("a1").len()), (2, 1));
        assert!(sent[1].0 - sent[0].0 >= SECOND / 5, "{sent:?}");
    });
}

#[test]
fn a_row_is_removed_only_after_the_bus_accepted_it() {
    in_virtual_time(async {
        let desk = Desk::new().await;
        desk.write("a", &["a1", "a2"]).await;
        desk.rig.meddler.hang(&["publish"]);
        desk.alongside(desk.relay(), desk.rig.pass(60 * SECOND)).await;
        assert_eq!(desk.row_count().await, 2);
        desk.rig.meddler.hang(&[]);
        desk.relay_all().await;
        let sent = desk.sent("a1");
        assert_eq!((sent.len(), &sent[0].1), (2, &sent[1].1), "the next process sends the same");
    });
}

#[test]
fn what_the_store_did_not_record_is_recorded_later_without_being_sent_again() {
    for fault in [Fault::Refused(ErrorKind::Unavailable), Fault::AnswerLost(ErrorKind::Timeout)] {
        in_virtual_time(async {
            let desk = Desk::new().await;
            desk.write("a", &["a1"]).await;
            desk.store.fail_write(fault);
            let relay = desk.relay();
            let status = relay.status();
            desk.alongside(relay, desk.rig.pass(60 * SECOND)).await;
            assert_eq!((desk.row_count().await, desk.sent("a1").len()), (0, 1), "{fault:?}");
            assert_eq!(status.trouble(), None, "{fault:?}: it is over");
        });
    }
}

#[test]
fn a_store_that_could_not_be_read_for_a_moment_leaves_no_trouble_behind() {
    in_virtual_time(async {
        let desk = Desk::new().await;
        for _ in 0..3 {
            desk.store.fail_scan(ErrorKind::Unavailable);
        }
        let relay = desk.relay();
        let status = relay.status();
        desk.alongside(relay, async {
            desk.rig.pass(SECOND / 10).await;
            assert!(status.trouble().is_some_and(|trouble| trouble.starts_with("outbox")), "{:?}", status.trouble());
            desk.rig.pass(SECOND).await;
            assert_eq!(status.trouble(), None);
        })
        .await;
    });
}

#[test]
fn the_relay_stops_in_time_whatever_hangs() {
    let check = |publish_hangs: bool, store_hangs: bool, has_rows: bool, took_max: Duration| {
        in_virtual_time(async {
            let desk = Desk::new().await;
            if has_rows {
                desk.write("a", &["a1", "a2"]).await;
            }
            if publish_hangs {
                desk.rig.meddler.hang(&["publish"]);
            }
            if store_hangs {
                desk.store.hang();
            }
            let shutdown = CancellationToken::new();
            let ask = async {
                desk.rig.pass(SECOND).await;
                shutdown.cancel();
            };
            let stopping = futures_util::future::join(desk.relay().run(shutdown.clone()), ask);
            let stopped = desk.rig.seams.clock.timeout(60 * SECOND, stopping).await;
            assert!(stopped.is_some(), "publish {publish_hangs}, store {store_hangs}, rows {has_rows}: it never stops");
            let took = desk.rig.elapsed() - SECOND;
            assert!(took <= took_max, "publish {publish_hangs}, store {store_hangs}, rows {has_rows}: {took:?}");
        });
    };
    check(false, false, false, Duration::ZERO);
    check(false, false, true, Duration::ZERO);
    check(true, false, true, STOP_MAX);
    check(false, true, true, STOP_MAX);
    check(false, true, false, STOP_MAX);
}

#[test]
fn what_was_accepted_while_stopping_is_still_recorded() {
    in_virtual_time(async {
        let desk = Desk::new().await;
        desk.write("a", &["a1"]).await;
        let shutdown = CancellationToken::new();
        let stop = shutdown.clone();
        desk.rig.meddler.on_publish(move |_| {
            stop.cancel();
            Publication::Through
        });
        desk.relay().run(shutdown).await;
        assert_eq!((desk.row_count().await, desk.sent("a1").len()), (0, 1));
    });
}
