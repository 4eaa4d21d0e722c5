use std::time::Duration;

use bus::capability::LeaseTerms;
use bus::{ExtendOutcome, Moment};
use bus_memory::MemoryOptions;

use crate::rig::*;

fn at(since_origin: Duration) -> Moment {
    Moment::from_origin(since_origin)
}

#[tokio::test(start_paused = true)]
async fn an_extension_may_shorten() {
    let rig = Rig::new().await;
    let receiver = rig.receiver().await;
    rig.publish(&["1"]).await;
    let held = rig.take_one(&receiver).await;
    let shorten = async {
        rig.sleep(SECOND).await;
        receiver.extend(&[held.token()], SECOND).await
    };
    let (lost, _) = tokio::join!(receiver.lost(), shorten);
    assert_eq!((lost, rig.seams.clock.now()), (vec![held.token()], at(2 * SECOND)));
}

#[tokio::test(start_paused = true)]
async fn extensions_end_at_the_cap() {
    let lease = LeaseTerms { duration: Some(30 * SECOND), extendable: true, total_max: Some(50 * SECOND) };
    let rig = Rig::with(MemoryOptions { lease, ..MemoryOptions::default() }).await;
    let receiver = rig.receiver().await;
    rig.publish(&["1"]).await;
    let held = rig.take_one(&receiver).await;
    rig.sleep(25 * SECOND).await;
    let outcomes = receiver.extend(&[held.token()], 30 * SECOND).await;
    assert!(matches!(outcomes[..], [ExtendOutcome::Until(until)] if until == at(50 * SECOND)), "{outcomes:?}");
    let outcomes = receiver.extend(&[held.token()], 30 * SECOND).await;
    assert!(matches!(outcomes[..], [ExtendOutcome::Capped]), "{outcomes:?}");
    assert_eq!(receiver.lost().await, [held.token()]);
    assert_eq!(rig.seams.clock.now(), at(50 * SECOND));
}
