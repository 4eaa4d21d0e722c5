//! The recorded flow, in one process, in two, and over FIFO queues.

use tests::orders::Place;

pub(crate) async fn the_recorded_flow_runs_in_one_process() {
    let place = Place::on(&tests::brokers::url("sqs"));
    let process = place.start_ready().await;
    place.follows_the_recorded_order().await;
    assert!(process.terminate().success(), "{}", place.site.log_tail());
}

pub(crate) async fn the_recorded_flow_runs_in_two_processes() {
    let place = Place::on(&tests::brokers::url("sqs"));
    let producer = place.start(&["--role", "producer"]);
    let consumer = place.site.until_ready(place.start(&["--role", "consumer"])).await;
    place.follows_the_recorded_order().await;
    assert!(producer.terminate().success(), "{}", place.site.log_tail());
    assert!(consumer.terminate().success(), "{}", place.site.log_tail());
}

pub(crate) async fn the_recorded_flow_runs_over_fifo_queues() {
    let place = Place::on(&format!("{}&fifo=on", tests::brokers::url("sqs")));
    let process = place.start_ready().await;
    place.follows_the_recorded_order().await;
    place.takes_many_more(50).await;
    assert!(process.terminate().success(), "{}", place.site.log_tail());
}
