//! What each answer of a handler makes of its message.

use std::time::Duration;

use bus::dead_letter;
use bus::pipeline::{Backoff, Failure, Policy};
use bus_memory::MemoryOptions;
use tests::harness::{Rig, message, policy};
use tests::world::in_virtual_time;

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn an_acked_message_is_gone_for_good() {
    in_virtual_time(async {
        let rig = Rig::new().await;
        rig.publish("a", &["m1", "m2"]).await;
        rig.publish("", &["m3"]).await;
        rig.process(rig.pipeline(policy(), async |_| Ok(()))).await;
        assert_eq!(rig.record.start_count(), 3, "{:?}", rig.record.starts());
        rig.pass(Duration::from_secs(24 * 60 * 60)).await;
        assert_eq!((rig.left_count(), rig.dead_letters().await.len()), (0, 0));
        assert_eq!(rig.bus.depth_now(&rig.subscription()).unwrap(), bus::Depth::default(), "nothing is in flight");
    });
}

#[test]
fn a_retried_message_comes_again_after_the_back_off_and_not_before() {
    in_virtual_time(async {
        let rig = Rig::new().await;
        rig.publish("a", &["m"]).await;
        let work = async |envelope: bus::pipeline::Envelope| match envelope.attempt() {
            4 => Ok(()),
            _ => Err(Failure::Retry("not yet".to_owned())),
        };
        let retry = Backoff { first: SECOND, max: 3 * SECOND };
        rig.process(rig.pipeline(Policy { retry, ..policy() }, work)).await;
        let starts = rig.record.start_times("m");
        assert_eq!(starts.len(), 4);
        for (gap, base) in starts.windows(2).zip([SECOND, 2 * SECOND, 3 * SECOND]) {
            let waited = gap[1] - gap[0];
            assert!(base <= waited && waited <= 2 * base + SECOND / 100, "{waited:?} after a base of {base:?}");
        }
    });
}

#[test]
fn a_back_off_longer_than_the_bus_can_delay_is_as_long_as_it_can() {
    in_virtual_time(async {
        let rig = Rig::on(MemoryOptions { nack_delay_max: Some(SECOND), ..MemoryOptions::default() }).await;
        rig.publish("a", &["m"]).await;
        let retry = Backoff { first: 5 * SECOND, max: 5 * SECOND };
        let fail = async |_| Err(Failure::Retry("not yet".to_owned()));
        rig.process(rig.pipeline(Policy { retry, ..policy() }, fail)).await;
        let starts = rig.record.start_times("m");
        assert_eq!((starts.len(), rig.dead_letters().await.len()), (5, 1));
        for gap in starts.windows(2) {
            let waited = gap[1] - gap[0];
            assert!(SECOND <= waited && waited < SECOND + SECOND / 10, "{waited:?}");
        }
    });
}

#[test]
fn a_handler_that_asks_for_a_delay_gets_that_delay() {
    for delay in [Duration::ZERO, Duration::from_millis(1), 90 * SECOND, 11 * 60 * 60 * SECOND] {
        in_virtual_time(async {
            let rig = Rig::new().await;
            rig.publish("a", &["m"]).await;
            let work = move |envelope: bus::pipeline::Envelope| async move {
                if envelope.attempt() == 1 { Err(Failure::RetryAfter(delay, "later".to_owned())) } else { Ok(()) }
            };
            rig.alongside(rig.pipeline(policy(), work), rig.pass(delay + SECOND)).await;
            let starts = rig.record.start_times("m");
            assert_eq!(starts.len(), 2, "delay {delay:?}");
            let waited = starts[1] - starts[0];
            assert!(delay <= waited && waited < delay + Duration::from_millis(10), "{waited:?}, asked for {delay:?}");
        });
    }
}

#[test]
fn a_handler_that_asks_for_a_longer_delay_than_the_bus_has_gets_the_longest() {
    in_virtual_time(async {
        let longest = 60 * SECOND;
        let rig = Rig::on(MemoryOptions { nack_delay_max: Some(longest), ..MemoryOptions::default() }).await;
        rig.publish("a", &["m"]).await;
        let work = move |envelope: bus::pipeline::Envelope| async move {
            if envelope.attempt() == 1 { Err(Failure::RetryAfter(2 * longest, "later".to_owned())) } else { Ok(()) }
        };
        rig.process(rig.pipeline(policy(), work)).await;
        let starts = rig.record.start_times("m");
        let waited = starts[1] - starts[0];
        assert!(longest <= waited && waited < longest + SECOND, "{waited:?}");
    });
}

#[test]
fn a_failing_message_is_dead_after_exactly_n_starts_with_everything_it_was() {
    for attempt_count_max in [1, 3, 5] {
        in_virtual_time(async {
            let rig = Rig::new().await;
            rig.publish("a", &["m"]).await;
            let policy = Policy { attempt_count_max, ..policy() };
            let fail = async |_| Err(Failure::Retry("no stock".to_owned()));
            rig.alongside(rig.pipeline(policy, fail), async {
                rig.emptied().await;
                rig.pass(60 * 60 * SECOND).await;
            })
            .await;
            let expected: Vec<_> = (1..=attempt_count_max).map(|attempt| ("m".to_owned(), attempt)).collect();
            assert_eq!(rig.record.starts(), expected);
            let dead = &rig.dead_letters().await[..];
            let [dead] = dead else { panic!("one dead letter, not {dead:?}") };
            let original = message("m", "a");
            assert_eq!((dead.id(), dead.key()), (original.id(), original.key()));
            assert_eq!((dead.body(), dead.content_type()), (original.body(), original.content_type()));
            assert_eq!(dead.headers().text("x-test"), Some("m"));
            let reason = dead.headers().text(dead_letter::REASON).expect("a reason");
            assert!(reason.contains("no stock") && reason.contains(&attempt_count_max.to_string()), "{reason}");
            assert_eq!(dead.headers().text(dead_letter::DESTINATION), Some("orders"));
        });
    }
}

#[test]
fn a_rejected_message_is_dead_at_once() {
    in_virtual_time(async {
        let rig = Rig::new().await;
        rig.publish("a", &["m1", "m2"]).await;
        let work = async |envelope: bus::pipeline::Envelope| match envelope.message_id().to_string().as_str() {
            "m1" => Err(Failure::Reject("not an order".to_owned())),
            _ => Ok(()),
        };
        rig.process(rig.pipeline(policy(), work)).await;
        assert_eq!(rig.record.starts(), [("m1".to_owned(), 1), ("m2".to_owned(), 1)], "and its key goes on");
        assert!(rig.elapsed() < SECOND, "{:?}", rig.elapsed());
        let dead = rig.dead_letters().await;
        assert_eq!(dead.len(), 1);
        assert_eq!(dead[0].headers().text(dead_letter::REASON), Some("not an order"));
    });
}

#[test]
fn a_message_that_no_dead_letters_take_is_not_started_more_often_for_it() {
    in_virtual_time(async {
        let rig = Rig::on(MemoryOptions { dead_letters: false, ..MemoryOptions::default() }).await;
        rig.publish("a", &["m"]).await;
        let fail = async |_| Err(Failure::Retry("no stock".to_owned()));
        let policy = Policy { attempt_count_max: 3, ..policy() };
        rig.alongside(rig.pipeline(policy, fail), rig.pass(60 * 60 * SECOND)).await;
        assert_eq!(rig.record.start_count(), 3, "starts: {:?}", rig.record.start_times("m"));
        assert_eq!(rig.left_count(), 1, "and it is not lost");
    });
}
