//! What has to be looked up is looked up seldom and for a bounded time.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bus::capability::Counting;
use bus::layer::{Layer, LayerExt};
use bus::{Bus, Capability, ClockExt, Depth, Result, Subscription};
use bus_memory::{MemoryBus, MemoryOptions};

use crate::shop::{Shop, scrape, seams};

/// Subscriptions whose depth is shown: two queues and their dead letters.
const COUNTED: usize = 4;

/// Counts the questions for a depth, and answers none while it hangs.
#[derive(Clone, Debug, Default)]
struct Questions {
    count: Arc<AtomicUsize>,
    hangs: Arc<AtomicBool>,
}

impl Questions {
    fn count(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }
}

#[async_trait]
impl Layer for Questions {
    fn capability(&self, next: &Capability) -> Capability {
        next.clone()
    }

    async fn depth(&self, subscription: &Subscription, next: &dyn Bus) -> Result<Depth> {
        self.count.fetch_add(1, Ordering::Relaxed);
        if self.hangs.load(Ordering::Relaxed) {
            std::future::pending::<()>().await;
        }
        next.depth(subscription).await
    }
}

async fn shop(counting: Counting) -> (Questions, Shop) {
    let (seams, questions) = (seams(), Questions::default());
    let options = MemoryOptions { depth: counting, ..MemoryOptions::default() };
    let bus: Arc<dyn Bus> = MemoryBus::new(seams.clone(), options);
    let shop = Shop::on(bus.layer(questions.clone()), seams).await;
    (questions, shop)
}

#[tokio::test(start_paused = true)]
async fn scrapers_share_a_look_for_five_seconds() {
    let (questions, shop) = shop(Counting::Exact).await;
    futures_util::future::join_all((0..10).map(|_| scrape(&shop.consumer))).await;
    assert_eq!(questions.count(), COUNTED);
    shop.seams.clock.sleep(Duration::from_millis(4_999)).await;
    let _ = scrape(&shop.consumer).await;
    assert_eq!(questions.count(), COUNTED);
    shop.seams.clock.sleep(Duration::from_millis(1)).await;
    let page = scrape(&shop.consumer).await;
    assert_eq!(questions.count(), 2 * COUNTED);
    assert_eq!(page.sum("messaging_depth_messages", &[("state", "ready")]), Some(0.0));
    // Counters are no matter of looking.
    let asked = [("route", "/metrics"), ("status", "200")];
    assert_eq!(page.sum("http_server_request_duration_seconds_count", &asked), Some(11.0));
    let _ = scrape(&shop.producer).await;
    assert_eq!(questions.count(), 2 * COUNTED, "the producer's page asks nothing of the broker");
}

#[tokio::test(start_paused = true)]
async fn a_broker_that_does_not_answer_holds_the_page_up_for_three_seconds_and_hides_its_own_numbers_alone() {
    let (questions, shop) = shop(Counting::Exact).await;
    assert!(scrape(&shop.consumer).await.sum("messaging_depth_messages", &[]).is_some());
    questions.hangs.store(true, Ordering::Relaxed);
    shop.seams.clock.sleep(Duration::from_secs(5)).await;
    let began = shop.seams.clock.now();
    let page = scrape(&shop.consumer).await;
    assert_eq!(shop.seams.clock.now().since(began), Duration::from_secs(3));
    assert_eq!(page.sum("messaging_depth_messages", &[]), None, "an old number is no news");
    assert_eq!(page.sum("orders_outbox_messages", &[]), Some(0.0));
    questions.hangs.store(false, Ordering::Relaxed);
    shop.seams.clock.sleep(Duration::from_secs(5)).await;
    assert!(scrape(&shop.consumer).await.sum("messaging_depth_messages", &[]).is_some());
}

#[tokio::test(start_paused = true)]
async fn a_bus_that_does_not_count_is_not_asked() {
    let (questions, shop) = shop(Counting::None).await;
    let page = scrape(&shop.consumer).await;
    assert_eq!((questions.count(), page.sum("messaging_depth_messages", &[])), (0, None));
    assert_eq!(page.sum("orders_bus_state", &[("state", "up")]), Some(1.0));
}
