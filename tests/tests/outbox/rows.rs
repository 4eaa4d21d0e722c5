//! What becomes of rows: in order, once accepted, again, or aside.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bus::ErrorKind;
use tests::harness::Publication;
use tests::world::in_virtual_time;

use crate::desk::{Desk, kinds_of_bus, once};

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn rows_arrive_per_key_in_order_and_leave_the_outbox() {
    for options in kinds_of_bus() {
        in_virtual_time(async {
            let desk = Desk::on(options).await;
            let observed = Arc::new(Mutex::new(Vec::new()));
            let seen = Arc::clone(&observed);
            let relay = desk.relay().observed_by(move |row| {
                seen.lock().unwrap().push(row.outgoing.message().id().to_string());
            });
            desk.write("a", &["a1", "a2", "a3"]).await;
            desk.alongside(relay, async {
                desk.emptied().await;
                desk.write("b", &["b1"]).await;
                desk.write("a", &["a4"]).await;
                desk.emptied().await;
            })
            .await;
            let arrived = desk.arrived().await;
            assert_eq!((arrived["a"].join(" "), arrived["b"].join(" ")), ("a1 a2 a3 a4".to_owned(), "b1".to_owned()));
            let mut observed = observed.lock().unwrap().clone();
            observed.sort_unstable();
            assert_eq!(observed, ["a1", "a2", "a3", "a4", "b1"], "each once");
        });
    }
}

#[test]
fn a_row_without_an_answer_is_sent_again_as_it_was_and_later_ones_of_its_key_wait() {
    for options in kinds_of_bus() {
        let is_atomic = options.publish_atomic;
        for first in [Publication::Lost, Publication::AnswerLost, Publication::Refused(ErrorKind::Throttled)] {
            in_virtual_time(async {
                let desk = Desk::on(options.clone()).await;
                desk.rig.meddler.on_publish(once("a1", first));
                desk.write("a", &["a1", "a2", "a3"]).await;
                desk.write("b", &["b1"]).await;
                desk.relay_all().await;
                let sent = desk.sent("a1");
                assert_eq!(sent.len(), 2, "{first:?}");
                assert_eq!(sent[0].1, sent[1].1, "id, body and all");
                let waited = sent[1].0 - sent[0].0;
                assert!(SECOND / 5 <= waited && waited <= SECOND / 2, "{first:?}: {waited:?}");
                let again = sent[1].0;
                assert!(desk.sent("b1")[0].0 < again, "another key does not wait");
                if !is_atomic {
                    assert!(desk.sent("a2").iter().chain(&desk.sent("a3")).all(|(at, _)| *at >= again));
                }
                let accepted_last = |id: &str| desk.sent(id).last().map(|(at, _)| *at);
                assert!(accepted_last("a1") <= accepted_last("a2") && accepted_last("a2") <= accepted_last("a3"));
                assert_eq!(desk.row_count().await, 0);
            });
        }
    }
}

#[test]
fn a_row_refused_for_now_is_offered_again_after_a_growing_delay() {
    in_virtual_time(async {
        let desk = Desk::new().await;
        let mut left_count = 9;
        desk.rig.meddler.on_publish(move |_| {
            left_count -= 1;
            if left_count > 0 { Publication::Refused(ErrorKind::Unavailable) } else { Publication::Through }
        });
        desk.write("a", &["a1"]).await;
        let status = desk.relay_all().await;
        let times: Vec<Duration> = desk.sent("a1").iter().map(|(at, _)| *at).collect();
        for (gap, base_ms) in times.windows(2).zip([200, 400, 800, 1_600, 3_200, 6_400, 12_800, 15_000]) {
            let (waited, base) = (gap[1] - gap[0], Duration::from_millis(base_ms));
            assert!(base <= waited && waited <= 2 * base + SECOND / 100, "{waited:?} after a base of {base:?}");
        }
        assert_eq!((times.len(), status.trouble(), status.parked_count()), (9, None, 0));
    });
}

#[test]
fn a_row_refused_for_good_is_parked_and_other_keys_pass() {
    for options in kinds_of_bus() {
        in_virtual_time(async {
            let desk = Desk::on(options).await;
            desk.rig.meddler.on_publish(once("a1", Publication::Refused(ErrorKind::TooLarge)));
            desk.write("a", &["a1", "a2"]).await;
            desk.write("b", &["b1"]).await;
            let relay = desk.relay();
            let status = relay.status();
            desk.alongside(relay, async {
                desk.rig.pass(60 * SECOND).await;
                desk.write("a", &["a3"]).await;
                desk.write("b", &["b2"]).await;
                desk.write("", &["alone"]).await;
                desk.rig.pass(60 * SECOND).await;
            })
            .await;
            assert_eq!((status.parked_count(), desk.mailbox.parked_count().await.unwrap()), (1, 1));
            assert_eq!(desk.sent("a1").len(), 1, "not again");
            assert_eq!(desk.row_count().await, 2, "a2 and a3 wait behind it");
            assert_eq!((desk.sent("b2").len(), desk.sent("alone").len(), desk.sent("a3").len()), (1, 1, 0));

            // The next process offers it again.
            desk.mailbox.unpark().await.unwrap();
            let status = desk.relay_all().await;
            assert_eq!((status.parked_count(), desk.mailbox.parked_count().await.unwrap()), (0, 0));
            let last = |id: &str| desk.sent(id).last().map(|(at, _)| *at);
            assert!(last("a1") <= last("a2") && last("a2") <= last("a3"));
        });
    }
}

#[test]
fn on_a_bus_that_accepts_one_by_one_a_wave_has_one_row_of_each_key() {
    for options in kinds_of_bus() {
        let is_atomic = options.publish_atomic;
        in_virtual_time(async {
            let desk = Desk::on(options).await;
            for key in ["a", "b", "c"] {
                let ids: Vec<String> = (0..20).map(|number| format!("{key}{number:02}")).collect();
                desk.write(key, &ids.iter().map(String::as_str).collect::<Vec<_>>()).await;
            }
            desk.relay_all().await;
            let waves = desk.published();
            if is_atomic {
                assert_eq!(waves.len(), 1, "all together");
            } else {
                assert_eq!(waves.len(), 20);
                assert!(waves.iter().all(|wave| wave.iter().map(|id| &id[..1]).eq(["a", "b", "c"])), "{waves:?}");
            }
            assert!(desk.arrived().await.values().all(|ids| ids.is_sorted() && ids.len() == 20));
        });
    }
}
