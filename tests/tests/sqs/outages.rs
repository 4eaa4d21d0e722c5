//! The server taken away under load.

use std::time::Duration;

use tests::brokers::{Proxy, Server};
use tests::orders::Place;

const ORDER_COUNT: usize = 400;

pub(crate) async fn a_server_that_is_stopped_for_a_while_loses_and_doubles_nothing() {
    let server = Server::sqs(14_566);
    let place = Place::on(&server.url());
    let process = place.start_ready().await;
    let clients = place.place_orders(ORDER_COUNT);
    for completed_count in [ORDER_COUNT / 8, ORDER_COUNT / 2] {
        place.until_completed(completed_count).await;
        server.signal("STOP");
        // Longer than a call may take, so that calls under way are given up with an unknown outcome.
        real_pause(Duration::from_secs(12)).await;
        server.signal("CONT");
    }
    clients.join_all().await;
    place.all_completed().await;
    place.agrees_on(ORDER_COUNT).await;
    assert!(process.terminate().success(), "{}", place.site.log_tail());
}

pub(crate) async fn connections_cut_and_stalled_under_load_lose_and_double_nothing() {
    let server = Server::sqs(14_567);
    let proxy = Proxy::before(server.port()).await;
    let place = Place::on(&format!("sqs://ap-northeast-2?endpoint=http://{}", proxy.address()));
    let process = place.start_ready().await;
    let clients = place.place_orders(ORDER_COUNT);
    for cut in 1..=5 {
        place.until_completed(cut * ORDER_COUNT / 20).await;
        proxy.cut();
    }
    place.until_completed(ORDER_COUNT / 3).await;
    proxy.refuse();
    real_pause(Duration::from_secs(2)).await;
    proxy.restore();
    place.until_completed(ORDER_COUNT / 2).await;
    proxy.stall();
    real_pause(Duration::from_secs(12)).await;
    proxy.restore();
    clients.join_all().await;
    place.all_completed().await;
    place.agrees_on(ORDER_COUNT).await;
    assert!(process.terminate().success(), "{}", place.site.log_tail());
}

/// This server forgets queues and messages when it is killed. The queues are declared again by the
/// backend, and what was in them is restored from the stores by the reconciler.
pub(crate) async fn a_server_that_forgets_everything_is_filled_again_by_the_reconciler() {
    let server = Server::sqs(14_568);
    let place = Place::on(&server.url()).with(&["--reconcile-every", "2s", "--reconcile-grace", "3s"]);
    let process = place.start_ready().await;
    let clients = place.place_orders(ORDER_COUNT);
    place.until_completed(ORDER_COUNT / 4).await;
    server.signal("KILL");
    server.start();
    clients.join_all().await;
    place.all_completed().await;
    place.agrees_on(ORDER_COUNT).await;
    assert!(process.terminate().success(), "{}", place.site.log_tail());
}

#[expect(clippy::disallowed_methods, reason = "a real server is stopped for a real while")]
async fn real_pause(duration: Duration) {
    tokio::time::sleep(duration).await;
}
