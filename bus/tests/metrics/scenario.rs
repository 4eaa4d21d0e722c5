//! The whole page after a small story, to the letter.

use std::time::Duration;

use bus::{Delivery, ReceiverExt};
use bus_memory::MemoryOptions;

use crate::rig::Rig;

#[tokio::test(start_paused = true)]
async fn a_scrape_after_a_story_says_this_and_nothing_else() {
    let rig = Rig::new().await;
    rig.publish(&["a", "b", "c", "d"]).await;
    let receiver = rig.receiver().await;
    let mut deliveries = rig.take(&receiver, 4).await;
    rig.pass(Duration::from_secs(1)).await;
    let kept = deliveries.pop().expect("four were taken");
    let rejected = deliveries.pop().expect("three are left").reject("bad");
    let mut batch: Vec<_> = deliveries.into_iter().map(Delivery::ack).collect();
    batch.push(rejected);
    receiver.settle(batch).await;
    receiver.extend(&[kept.token()], Duration::from_secs(30)).await;
    let expected = r#"
messaging_client_consumed_messages_total{destination="orders",group=""} 4
messaging_client_in_flight_messages{destination="orders",group=""} 1
messaging_client_leases_lost_total{destination="orders",group=""} 0
messaging_client_operation_duration_seconds_count{operation="extend"} 1
messaging_client_operation_duration_seconds_count{operation="publish"} 4
messaging_client_operation_duration_seconds_count{operation="settle"} 1
messaging_client_operation_duration_seconds_sum{operation="extend"} 0.0
messaging_client_operation_duration_seconds_sum{operation="publish"} 0.0
messaging_client_operation_duration_seconds_sum{operation="settle"} 0.0
messaging_client_sent_messages_total{destination="orders",outcome="accepted"} 4
messaging_client_settlements_total{destination="orders",group="",verdict="ack",outcome="settled"} 2
messaging_client_settlements_total{destination="orders",group="",verdict="reject",outcome="settled"} 1
"#;
    let found: Vec<String> = rig.scrape("messaging").into_iter().filter(|line| !line.contains("_bucket")).collect();
    assert_eq!(found.join("\n"), expected.trim());
    let described = rig.scrape("# ").into_iter().filter(|line| line.contains("in_flight"));
    assert_eq!(
        described.collect::<Vec<_>>(),
        [
            "# HELP messaging_client_in_flight_messages Deliveries in hand: handed out, not yet settled or given back.",
            "# TYPE messaging_client_in_flight_messages gauge",
            "# UNIT messaging_client_in_flight_messages messages",
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn a_call_takes_as_long_as_its_answer() {
    let rig = Rig::on(MemoryOptions { capacity_count: 1, ..MemoryOptions::default() }).await;
    rig.publish(&["a"]).await;
    let receiver = rig.receiver().await;
    let making_room = async {
        rig.pass(Duration::from_secs(2)).await;
        let delivery = rig.take(&receiver, 1).await.pop().expect("one was taken");
        receiver.settle_one(delivery.ack()).await
    };
    let ((), settled) = tokio::join!(rig.publish(&["b"]), making_room);
    assert!(settled.is_settled());
    assert_eq!(
        rig.scrape("messaging_client_operation_duration_seconds_sum{operation=\"publish\"}"),
        [r#"messaging_client_operation_duration_seconds_sum{operation="publish"} 2.0"#]
    );
}

#[tokio::test(start_paused = true)]
async fn without_answers_to_settlements_their_outcome_is_sent() {
    let rig = Rig::on(MemoryOptions { settle_confirmed: false, ..MemoryOptions::default() }).await;
    rig.publish(&["a"]).await;
    let receiver = rig.receiver().await;
    let delivery = rig.take(&receiver, 1).await.pop().expect("one was taken");
    assert!(receiver.settle_one(delivery.nack(Duration::ZERO)).await.is_settled());
    assert_eq!(
        rig.scrape("messaging_client_settlements"),
        [r#"messaging_client_settlements_total{destination="orders",group="",verdict="nack",outcome="sent"} 1"#]
    );
}
