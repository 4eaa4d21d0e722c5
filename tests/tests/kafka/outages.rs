//! The broker taken away under load, and a consumer that stands still.

use std::time::Duration;

use tests::brokers::Server;
use tests::orders::Place;

const ORDER_COUNT: usize = 400;

pub(crate) async fn a_broker_killed_twice_under_load_loses_and_doubles_nothing() {
    let server = Server::kafka(19_192);
    let place = Place::on(&format!("{}?session=6s&timeout=20s", server.url()));
    let process = place.start_ready().await;
    let clients = place.place_orders(ORDER_COUNT);
    for completed_count in [ORDER_COUNT / 8, ORDER_COUNT / 2] {
        place.until_completed(completed_count).await;
        server.signal("KILL");
        server.start();
    }
    clients.join_all().await;
    place.all_completed().await;
    place.agrees_on(ORDER_COUNT).await;
    assert!(process.terminate().success(), "{}", place.site.log_tail());
}

/// The group takes its partitions away meanwhile. What it had in hand comes again, and what it settles
/// afterwards is refused.
pub(crate) async fn a_consumer_that_stands_still_beyond_its_session_loses_and_doubles_nothing() {
    let url = format!("{}?session=6s&poll=6s", tests::brokers::url("kafka"));
    let place = Place::on(&url);
    let producer = place.start(&["--role", "producer"]);
    let consumer = place.site.until_ready(place.start(&["--role", "consumer"])).await;
    let clients = place.place_orders(ORDER_COUNT);
    place.until_completed(ORDER_COUNT / 8).await;
    consumer.signal("STOP");
    real_pause(Duration::from_secs(14)).await;
    consumer.signal("CONT");
    clients.join_all().await;
    place.all_completed().await;
    place.agrees_on(ORDER_COUNT).await;
    assert!(producer.terminate().success(), "{}", place.site.log_tail());
    assert!(consumer.terminate().success(), "{}", place.site.log_tail());
}

#[expect(clippy::disallowed_methods, reason = "a real server is stopped for a real while")]
async fn real_pause(duration: Duration) {
    tokio::time::sleep(duration).await;
}
