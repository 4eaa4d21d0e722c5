//! The recorded flow, in one process and in two.

use tests::orders::Place;
use tests::scrape::Scrape;

pub(crate) async fn the_recorded_flow_runs_in_one_process() {
    let place = Place::on(&tests::brokers::url("kafka"));
    let process = place.start_ready().await;
    place.follows_the_recorded_order().await;
    shows_its_partitions(&place).await;
    place.takes_many_more(200).await;
    assert!(process.terminate().success(), "{}", place.site.log_tail());
}

pub(crate) async fn the_recorded_flow_runs_in_two_processes() {
    let place = Place::on(&tests::brokers::url("kafka"));
    let producer = place.start(&["--role", "producer"]);
    let consumer = place.site.until_ready(place.start(&["--role", "consumer"])).await;
    place.follows_the_recorded_order().await;
    assert!(producer.terminate().success(), "{}", place.site.log_tail());
    assert!(consumer.terminate().success(), "{}", place.site.log_tail());
}

/// The consumer's page shows how far the partitions of both queues are, and how much waits.
async fn shows_its_partitions(place: &Place) {
    let site = &place.site;
    for queue in [&place.order_queue, &place.sync_queue] {
        let (of_queue, dead_letters) = ([("group", queue.as_str())], format!("{queue}-dlq"));
        site.eventually("the page of the consumer shows the partitions and depths of a queue", async || {
            let answer = site.client().get(site.consumer("/metrics")).send().await.expect("answered");
            let page = Scrape::read(&answer.text().await.expect("a body"));
            let depth = |destination: &str| page.sum("messaging_depth_messages", &[("destination", destination)]);
            page.sum("messaging_partition_watermark", &of_queue) >= Some(1.0)
                && page.sum("messaging_partition_watermark_age_seconds", &of_queue).is_some()
                && page.sum("messaging_partition_window_messages", &of_queue).is_some()
                && depth(queue).is_some()
                && depth(&dead_letters) == Some(0.0)
        })
        .await;
    }
}
