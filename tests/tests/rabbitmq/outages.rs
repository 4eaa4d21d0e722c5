//! The server taken away, and low on memory, under load.

use serde_json::json;
use tests::brokers::Server;
use tests::orders::Place;

/// Each order is four messages at least: itself, its completion, and two updates.
const ORDER_COUNT: usize = 5_000;

/// Twice its connections are closed, and between that it is killed and started again.
pub(crate) async fn a_server_killed_and_its_connections_closed_during_20000_messages_loses_and_doubles_nothing() {
    let server = Server::rabbitmq(11_672);
    let place = Place::on(&server.url());
    let process = place.start_ready().await;
    let clients = place.place_orders(ORDER_COUNT);
    let outages = || {
        let close = || server.ctl(&["close_all_connections", "a test"]);
        drop(close());
        server.kill();
        server.start();
        drop(close());
    };
    place.until_completed(200).await;
    tokio::task::block_in_place(outages);
    // Orders are taken while there is no broker; their messages are what must not be over yet.
    let pending = place.site.get(&place.site.producer("/api/orders?status=PENDING&limit=1")).await.expect("a page");
    assert!(pending["items"].as_array().is_some_and(|items| !items.is_empty()), "messages flow during all of it");
    clients.join_all().await;
    place.all_completed().await;
    place.agrees_on(ORDER_COUNT).await;
    assert!(process.terminate().success(), "{}", place.site.log_tail());
}

pub(crate) async fn a_memory_alarm_shows_in_readiness_and_in_the_log_and_lifts() {
    let server = Server::rabbitmq(11_673);
    let place = Place::on(&server.url());
    let process = place.start_ready().await;
    let (site, ready) = (&place.site, place.site.producer("/readyz"));
    let _ = server.ctl(&["set_vm_memory_high_watermark", "0"]);
    // The server tells a connection of its alarm when that publishes.
    let body = json!({"customerName": "c", "productName": "tea", "quantity": 2, "price": "1.50"});
    let order = site.place("during the alarm", &body).await;
    site.eventually("readiness shows the alarm", async || {
        let answer = site.client().get(&ready).send().await.expect("it answers");
        let is_unready = answer.status() == 503;
        is_unready && answer.text().await.expect("text").contains("blocks publishers")
    })
    .await;
    let has_logged = |text: &str| {
        site.log_lines().iter().any(|line| line["message"].as_str().is_some_and(|said| said.contains(text)))
    };
    assert!(has_logged("blocks publishers until its alarm lifts"), "{}", site.log_tail());
    assert!(
        site.get(&site.producer("/livez")).await.is_some()
            || site.client().get(site.producer("/livez")).send().await.is_ok_and(|answer| answer.status() == 200)
    );
    let _ = server.ctl(&["set_vm_memory_high_watermark", "0.4"]);
    site.eventually("readiness shows that it has lifted", async || site.get(&ready).await.is_some()).await;
    assert!(has_logged("takes messages again"), "{}", site.log_tail());
    let number = order["orderNumber"].as_str().expect("an order").to_owned();
    let shown = site.producer(&format!("/api/orders/{number}"));
    site.eventually("the order of the alarm is completed", async || {
        site.get(&shown).await.is_some_and(|order| order["status"] == "COMPLETED")
    })
    .await;
    assert!(process.terminate().success(), "{}", site.log_tail());
}
