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
    let answer = place.site.client().get(place.site.consumer("/metrics")).send().await.expect("answered");
    let page = Scrape::read(&answer.text().await.expect("a body"));
    for queue in [&place.order_queue, &place.sync_queue] {
        for name in ["messaging_partition_watermark_age_seconds", "messaging_partition_window_messages"] {
            assert!(page.sum(name, &[("group", queue), ("partition", "0")]).is_some(), "{name} {queue}: {page:?}");
        }
        let watermark = page.sum("messaging_partition_watermark", &[("group", queue)]);
        assert!(watermark >= Some(1.0), "{queue}: {watermark:?}");
        let dead_letters = format!("{queue}-dlq");
        for destination in [queue, &dead_letters] {
            assert!(page.sum("messaging_depth_messages", &[("destination", destination)]).is_some(), "{destination}");
        }
    }
}
