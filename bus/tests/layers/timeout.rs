use std::time::Duration;

use bus::layer::{LayerExt, Limits, Timeout};
use bus::middleware::{HandlerExt, Timeout as RunTimeout};
use bus::pipeline::{Envelope, Policy};
use bus::{ClockExt, Declaration, ErrorKind, ExtendOutcome, SettleOutcome, Subscription, dead_letter};

use crate::rig::*;
use crate::script::{Act, Script, Slow};

const LIMITS: Limits = Limits { publish: SECOND, settle: SECOND, manage: SECOND };

/// A bus whose every call takes `takes`, limited to a second.
async fn limited(takes: Duration) -> Rig {
    Rig::new().await.wrapped(|bus, seams| bus.layer(Slow::new(takes, seams)).layer(Timeout::new(LIMITS, seams)))
}

#[tokio::test(start_paused = true)]
async fn a_publish_without_an_answer_is_unknown_for_each_message() {
    let rig = limited(2 * SECOND).await;
    let begun = rig.now();
    assert_eq!(words(&rig.publish(&["-1", "-2", "-3"]).await), ["unknown Timeout"; 3]);
    assert_eq!(rig.now().since(begun), SECOND);
}

#[tokio::test(start_paused = true)]
async fn calls_that_manage_the_bus_end_as_timeouts() {
    let rig = limited(2 * SECOND).await;
    let subscription = Subscription::to(orders());
    let kind = |error: bus::Error| error.kind();
    assert_eq!(rig.bus.declare(&[Declaration::of(orders())]).await.map_err(kind), Err(ErrorKind::Timeout));
    assert_eq!(rig.bus.depth(&subscription).await.map_err(kind), Err(ErrorKind::Timeout));
    assert_eq!(rig.bus.purge(&subscription).await.map_err(kind), Err(ErrorKind::Timeout));
}

#[tokio::test(start_paused = true)]
async fn calls_within_the_limit_answer_as_ever() {
    let rig = limited(SECOND / 2).await;
    let subscription = Subscription::to(orders());
    assert_eq!(words(&rig.publish(&["-1", "-2"]).await), ["accepted", "accepted"]);
    rig.bus.declare(&[Declaration::of(orders())]).await.expect("declared");
    assert_eq!(rig.bus.depth(&subscription).await.expect("counted").ready_count, 2);
    let receiver = rig.receiver().await;
    let mut batch = Vec::new();
    receiver.receive(2, &mut batch).await.expect("received");
    let tokens = [batch[0].token(), batch[1].token()];
    let extended = receiver.extend(&tokens, 60 * SECOND).await;
    assert!(extended.iter().all(|outcome| matches!(outcome, ExtendOutcome::Until(_))), "{extended:?}");
    receiver.release(vec![batch.remove(1).split().1]).await;
    let settled = receiver.settle(vec![batch.remove(0).ack()]).await;
    assert!(matches!(settled[..], [SettleOutcome::Settled]), "{settled:?}");
    assert_eq!(rig.bus.depth(&subscription).await.expect("counted").ready_count, 1);
}

#[tokio::test(start_paused = true)]
async fn settlements_and_extensions_without_an_answer_have_failed_and_the_messages_come_again() {
    let rig = Rig::new().await;
    assert_eq!(rig.publish(&["-1", "-2", "-3"]).await.len(), 3);
    let rig = rig.wrapped(|bus, seams| bus.layer(Slow::new(2 * SECOND, seams)).layer(Timeout::new(LIMITS, seams)));
    let receiver = rig.receiver().await;
    let mut batch = Vec::new();
    receiver.receive(3, &mut batch).await.expect("received");
    let tokens: Vec<_> = batch.iter().map(bus::Delivery::token).collect();
    let extended = receiver.extend(&tokens, 60 * SECOND).await;
    assert_eq!(extended.len(), 3);
    for outcome in extended {
        assert!(matches!(&outcome, ExtendOutcome::Failed(error) if error.kind() == ErrorKind::Timeout), "{outcome:?}");
    }
    receiver.release(vec![batch.remove(2).split().1]).await;
    let settled = receiver.settle(batch.into_iter().map(bus::Delivery::ack).collect()).await;
    assert_eq!(settled.len(), 2);
    for outcome in settled {
        assert!(matches!(&outcome, SettleOutcome::Failed(error) if error.kind() == ErrorKind::Timeout), "{outcome:?}");
    }
    let mut again = Vec::new();
    while again.len() < 3 {
        let receiving = receiver.receive(3, &mut again);
        rig.within(60 * SECOND, receiving).await.expect("nothing is stranded").expect("an open receiver");
    }
    let mut again = bodies(&again);
    again.sort();
    assert_eq!(again, ["-1", "-2", "-3"]);
}

#[tokio::test(start_paused = true)]
async fn receiving_waits_as_long_as_it_takes() {
    let rig = limited(Duration::ZERO).await;
    let receiver = rig.receiver().await;
    let mut batch = Vec::new();
    let publish = async {
        rig.sleep(3_600 * SECOND).await;
        assert_eq!(words(&rig.publish(&["-1"]).await), ["accepted"]);
    };
    let (received, ()) = tokio::join!(receiver.receive(1, &mut batch), publish);
    received.expect("received");
    assert_eq!(bodies(&batch), ["-1"]);
}

#[tokio::test(start_paused = true)]
async fn a_publish_that_times_out_may_have_been_accepted() {
    let script = Script::of(|_, body| if body == "-1" { Act::Pass } else { Act::Hang });
    let rig = Rig::new().await.wrapped(|bus, seams| bus.layer(script.clone()).layer(Timeout::new(LIMITS, seams)));
    assert_eq!(words(&rig.publish(&["-1"]).await), ["accepted"]);
    assert_eq!(words(&rig.publish(&["-2"]).await), ["unknown Timeout"]);
}

#[tokio::test(start_paused = true)]
async fn one_run_of_a_handler_is_limited_within_the_policys_time() {
    let rig = Rig::new().await;
    assert_eq!(rig.publish(&["-1"]).await.len(), 1);
    let clock = rig.seams.clock.clone();
    let handler = move |_: Envelope| {
        let clock = clock.clone();
        async move {
            clock.sleep(10 * SECOND).await;
            Ok(())
        }
    };
    let policy = Policy { attempt_count_max: 1, ..Policy::default() };
    let handler = handler.with(RunTimeout::new(2 * SECOND, &rig.seams));
    rig.run_pipeline(handler, policy, 5 * SECOND).await;
    let dead = rig.dead_letters().await;
    let reason = dead[0].message().headers().text(dead_letter::REASON).expect("a reason");
    assert!(reason.contains("not done within 2s"), "{reason}");
}
