//! The recorded flow, in one process, in two, and over classic queues, with foreign messages among it.

use tests::orders::Place;

use crate::foreign;

pub(crate) async fn the_recorded_flow_runs_in_one_process_with_foreign_messages_among_it() {
    let place = Place::on(&tests::brokers::url("rabbitmq"));
    let process = place.start_ready().await;
    place.follows_the_recorded_order().await;
    foreign::among_our_own(&place).await;
    assert!(process.terminate().success(), "{}", place.site.log_tail());
}

pub(crate) async fn the_recorded_flow_runs_in_two_processes_with_foreign_messages_among_it() {
    let place = Place::on(&tests::brokers::url("rabbitmq"));
    let producer = place.start(&["--role", "producer"]);
    let consumer = place.site.until_ready(place.start(&["--role", "consumer"])).await;
    place.follows_the_recorded_order().await;
    foreign::among_our_own(&place).await;
    assert!(producer.terminate().success(), "{}", place.site.log_tail());
    assert!(consumer.terminate().success(), "{}", place.site.log_tail());
}

pub(crate) async fn the_recorded_flow_runs_over_classic_queues() {
    let place = Place::on(&format!("{}?queue=classic", tests::brokers::url("rabbitmq")));
    let process = place.start_ready().await;
    place.follows_the_recorded_order().await;
    place.takes_many_more(50).await;
    assert!(process.terminate().success(), "{}", place.site.log_tail());
}
