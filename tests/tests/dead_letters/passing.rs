//! A replay for one group, seen by the pipelines of the others.

use bus::dead_letter::{DESTINATION, REPLAY_GROUP};
use bus::pipeline::{Envelope, Failure, Handled, Policy};
use bus::{BusExt, Message, MessageId, MessageKey, Outgoing};
use tests::harness::{Settling, policy, sleeps};
use tests::world::in_virtual_time;

use super::*;

fn message(id: &str, headers: &[(&'static str, &'static str)]) -> Message {
    let message = Message::new(MessageId::parse(id).expect("legal"), &b""[..]);
    message
        .with_key(MessageKey::new("a").expect("legal"))
        .with_headers(headers.iter().map(|(name, value)| (*name, *value)).collect())
}

async fn publish(rig: &Rig, message: Message) {
    let outcome = rig.bus.publish_one(Outgoing::new(rig.queue.clone(), message)).await;
    assert!(outcome.is_accepted(), "{outcome:?}");
}

const FOR_AUDIT: [(&str, &str); 2] = [(DESTINATION, "orders"), (REPLAY_GROUP, "audit")];

#[test]
fn a_replay_is_processed_unless_it_is_for_another_group_of_this_very_destination() {
    in_virtual_time(async {
        let rig = Rig::new().await;
        publish(&rig, message("for audit", &FOR_AUDIT)).await;
        publish(&rig, message("for all", &[(DESTINATION, "orders")])).await;
        publish(&rig, message("for us", &[(DESTINATION, "orders"), (REPLAY_GROUP, "")])).await;
        publish(&rig, message("copied", &[(DESTINATION, "returns"), (REPLAY_GROUP, "audit")])).await;
        rig.process(rig.pipeline(policy(), async |_| Ok(()))).await;
        let starts: Vec<String> = rig.record.starts().into_iter().map(|(id, _)| id).collect();
        assert_eq!(starts, ["for all", "for us", "copied"]);
    });
}

#[test]
fn a_passing_replay_disturbs_neither_the_attempts_of_its_id_nor_the_order_of_its_key() {
    in_virtual_time(async {
        let rig = Rig::new().await;
        let record = rig.record.clone();
        let seams = rig.seams.clone();
        // The first message fails twice and takes its time; its twin for others passes meanwhile.
        let work = move |envelope: Envelope| -> tests::harness::Work {
            let (is_first, seams, record) = (envelope.message_id().to_string() == "m1", seams.clone(), record.clone());
            Box::pin(async move {
                assert_eq!(record.running_count(), 1, "one of a key at a time");
                bus::ClockExt::sleep(seams.clock.as_ref(), SECOND).await;
                if is_first { Err(Failure::Retry("again".to_owned())) } else { Handled::Ok(()) }
            })
        };
        publish(&rig, message("m1", &[])).await;
        publish(&rig, message("m2", &[])).await;
        rig.alongside(rig.pipeline(Policy { attempt_count_max: 3, ..policy() }, work), async {
            for _ in 0..40 {
                publish(&rig, message("m1", &FOR_AUDIT)).await;
                rig.pass(SECOND / 4).await;
            }
            rig.emptied().await;
        })
        .await;
        let expected = [("m1", 1), ("m1", 2), ("m1", 3), ("m2", 1)].map(|(id, attempt)| (id.to_owned(), attempt));
        assert_eq!(rig.record.starts(), expected);
        assert_eq!(ids(&all(&rig).await), ["m1"]);
    });
}

#[test]
fn a_passing_replay_that_is_not_settled_sends_nothing_of_its_key_back() {
    in_virtual_time(async {
        let rig = Rig::new().await;
        for settling in [Settling::LeaseLost, Settling::Failed] {
            rig.meddler.settle("for audit", settling);
        }
        publish(&rig, message("m1", &[])).await;
        publish(&rig, message("for audit", &FOR_AUDIT)).await;
        publish(&rig, message("m2", &[])).await;
        rig.process(rig.pipeline(policy(), sleeps(&rig, SECOND))).await;
        assert_eq!(rig.record.starts(), [("m1".to_owned(), 1), ("m2".to_owned(), 1)]);
        assert_eq!(rig.record.start_times("m2"), [SECOND], "right after the first");
        assert_eq!(rig.meddler.call_count("release"), 0);
    });
}
