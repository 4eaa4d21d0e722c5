//! How much waits, sampled on call.

use std::time::Duration;

use bus::capability::Counting;
use bus::{ErrorKind, Outgoing, Subscription};
use bus_memory::MemoryOptions;

use crate::rig::{Rig, orders};

#[tokio::test(start_paused = true)]
async fn a_sample_shows_what_is_where() {
    let rig = Rig::new().await;
    rig.publish(&["a", "b", "c"]).await;
    let delayed = Outgoing::new(orders(), rig.message("d")).delayed(Duration::from_secs(60));
    assert!(rig.bus.publish(vec![delayed]).await[0].is_accepted());
    let receiver = rig.receiver().await;
    let in_hand = rig.take(&receiver, 1).await;
    assert!(rig.scrape("messaging_depth").is_empty(), "nobody asked yet");
    rig.metrics.sample(rig.bus.as_ref(), &[Subscription::to(orders())]).await.expect("it counts");
    assert_eq!(
        rig.scrape("messaging_depth"),
        [
            r#"messaging_depth_messages{destination="orders",group="",state="delayed"} 1"#,
            r#"messaging_depth_messages{destination="orders",group="",state="in_flight"} 1"#,
            r#"messaging_depth_messages{destination="orders",group="",state="ready"} 2"#,
        ]
    );
    drop(in_hand);
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_counted_is_not_shown_and_hides_nothing_else() {
    let rig = Rig::new().await;
    let nowhere = Subscription::to(bus::Destination::new("nowhere").expect("a legal name"));
    let error = rig.metrics.sample(rig.bus.as_ref(), &[nowhere, Subscription::to(orders())]).await;
    assert_eq!(error.expect_err("one is missing").kind(), ErrorKind::NotFound);
    let shown = rig.scrape("messaging_depth");
    assert_eq!(shown.len(), 3, "{shown:?}");
    assert!(shown.iter().all(|line| line.contains("orders")), "{shown:?}");
    rig.bus.close(Duration::from_secs(1)).await.expect("nothing to flush");
    let error = rig.metrics.sample(rig.bus.as_ref(), &[Subscription::to(orders())]).await;
    assert_eq!(error.expect_err("it is closed").kind(), ErrorKind::Closed);
    assert!(rig.scrape("messaging_depth").is_empty(), "an old number is no news");
}

#[tokio::test(start_paused = true)]
async fn a_bus_that_does_not_count_says_so() {
    let rig = Rig::on(MemoryOptions { depth: Counting::None, ..MemoryOptions::default() }).await;
    let error = rig.metrics.sample(rig.bus.as_ref(), &[Subscription::to(orders())]).await;
    assert_eq!(error.expect_err("it does not").kind(), ErrorKind::Unsupported);
}

#[tokio::test(start_paused = true)]
async fn what_is_forgotten_is_shown_again_with_the_next_sample() {
    let rig = Rig::new().await;
    let subscription = [Subscription::to(orders())];
    rig.metrics.sample(rig.bus.as_ref(), &subscription).await.expect("it counts");
    rig.metrics.forget(&subscription);
    assert!(rig.scrape("messaging_depth").is_empty(), "an old number is no news");
    rig.metrics.sample(rig.bus.as_ref(), &subscription).await.expect("it counts");
    assert_eq!(rig.scrape("messaging_depth").len(), 3);
}
