//! What a page shows when something stands still, fails or is mended.

use std::sync::Arc;
use std::time::Duration;

use bus::{BusExt, ClockExt, Message, MessageId, Outgoing};
use bus_memory::{MemoryBus, MemoryOptions};
use tests::scrape::Scrape;
use tests::world::order_queue;

use crate::shop::{Shop, scrape, seams};

async fn shop() -> (Arc<MemoryBus>, Shop) {
    let seams = seams();
    let bus = MemoryBus::new(seams.clone(), MemoryOptions::default());
    (Arc::clone(&bus), Shop::on(bus, seams).await)
}

#[track_caller]
fn check(page: &Scrape, name: &str, labels: &[(&str, &str)], expected: f64) {
    assert_eq!(page.sum(name, labels), Some(expected), "{name} {labels:?}");
}

#[tokio::test(start_paused = true)]
async fn what_waits_is_counted_and_its_age_grows() {
    let (_, shop) = shop().await;
    check(&scrape(&shop.producer).await, "orders_pending_oldest_age_seconds", &[], 0.0);
    // Nobody relays and nobody receives.
    shop.place(&[]).await;
    shop.seams.clock.sleep(Duration::from_secs(40)).await;
    shop.place(&[]).await;
    shop.seams.clock.sleep(Duration::from_secs(60)).await;
    let page = scrape(&shop.producer).await;
    check(&page, "orders_status_changes_total", &[("status", "PENDING")], 2.0);
    check(&page, "orders_pending", &[], 2.0);
    check(&page, "orders_outbox_messages", &[], 4.0);
    let is_near = |name: &str| (page.sum(name, &[]).expect("shown") - 100.0).abs() < 0.01;
    assert!(is_near("orders_pending_oldest_age_seconds") && is_near("orders_outbox_oldest_age_seconds"), "{page:?}");

    shop.alongside(shop.seams.clock.sleep(Duration::from_secs(60))).await;
    let page = scrape(&shop.producer).await;
    for name in ["orders_pending", "orders_pending_oldest_age_seconds", "orders_outbox_messages"] {
        check(&page, name, &[], 0.0);
    }
    check(&page, "orders_outbox_oldest_age_seconds", &[], 0.0);
    check(&page, "orders_status_changes_total", &[("status", "COMPLETED")], 2.0);
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_read_is_rejected_and_waits_in_the_dead_letters() {
    let (bus, shop) = shop().await;
    shop.alongside(async {
        let message = Message::foreign(MessageId::parse("m").expect("an id"), "not JSON");
        assert!(bus.publish_one(Outgoing::new(order_queue(), message)).await.is_accepted());
        shop.seams.clock.sleep(Duration::from_secs(10)).await;
        let page = scrape(&shop.consumer).await;
        let dead = ("destination", "order-processing-queue-dlq");
        check(&page, "messaging_depth_messages", &[dead, ("state", "ready")], 1.0);
        check(&page, "messaging_depth_messages", &[], 1.0);
        check(&page, "messaging_client_settlements_total", &[("verdict", "reject"), ("outcome", "settled")], 1.0);
        check(&page, "messaging_process_duration_seconds_count", &[("outcome", "reject")], 1.0);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn an_unreachable_producer_shows_as_a_pause_and_as_failed_reconciliations() {
    let (_, shop) = shop().await;
    shop.alongside(async {
        shop.line.cut(true);
        shop.place(&[]).await;
        shop.seams.clock.sleep(Duration::from_secs(65)).await;
        let page = scrape(&shop.consumer).await;
        let events = ("destination", "sync-events-queue");
        check(&page, "orders_pipelines", &[events, ("state", "paused")], 1.0);
        check(&page, "orders_pipelines", &[events], 1.0);
        check(&page, "orders_reconciler_runs_total", &[("outcome", "failed")], 2.0);
        check(&page, "orders_results_awaited", &[], 1.0);
        check(&page, "orders_processed_total", &[("status", "COMPLETED")], 1.0);
        assert_eq!(page.sum("orders_reconciler_last_success_timestamp_seconds", &[]), None, "there was none");
        let outcomes = "messaging_process_duration_seconds_count";
        assert!(page.sum(outcomes, &[events, ("outcome", "unavailable")]) > Some(0.0));
        assert_eq!(page.sum("messaging_client_settlements_total", &[("verdict", "reject")]), None);

        shop.line.cut(false);
        shop.seams.clock.sleep(Duration::from_secs(120)).await;
        let page = scrape(&shop.consumer).await;
        check(&page, "orders_pipelines", &[events, ("state", "running")], 1.0);
        check(&page, "orders_results_awaited", &[], 0.0);
        check(&page, "orders_results_total", &[("answer", "applied")], 1.0);
        let last = page.sum("orders_reconciler_last_success_timestamp_seconds", &[]).expect("there was one");
        let since = shop.seams.clock.wall().as_duration().as_secs_f64() - last;
        assert!((0.0..=30.0).contains(&since), "{since} s ago");
    })
    .await;
}
