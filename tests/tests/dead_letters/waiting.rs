//! Brokers that take their time until they hand out anything.

use async_trait::async_trait;
use bus::dead_letter::{Ended, Filter, Listing, Replay};
use bus::layer::{Layer, LayerExt, ReceiverLayer, layered_receiver};
use bus::{Clock, Delivery, Moment, Receiver, Result, Subscription};
use tests::world::in_virtual_time;

use super::*;

/// Hands out nothing before a moment, as a member that is joining its group.
#[derive(Clone, Debug)]
struct Joining {
    clock: Arc<dyn Clock>,
    joined_at: Moment,
}

#[async_trait]
impl Layer for Joining {
    async fn subscribe(
        &self,
        subscription: &Subscription,
        options: SubscribeOptions,
        next: &dyn Bus,
    ) -> Result<Arc<dyn Receiver>> {
        Ok(layered_receiver(next.subscribe(subscription, options).await?, self.clone()))
    }
}

#[async_trait]
impl ReceiverLayer for Joining {
    async fn receive(&self, max: usize, into: &mut Vec<Delivery>, next: &dyn Receiver) -> Result<()> {
        self.clock.sleep_until(self.joined_at).await;
        next.receive(max, into).await
    }
}

/// Dead letters of a bus that hands out after `pause`; the usual patience is a second.
fn joining(rig: &Rig, pause: Duration) -> DeadLetters {
    let clock = Arc::clone(&rig.seams.clock);
    let joined_at = clock.now() + pause;
    let bus: Arc<dyn Bus> = Arc::clone(&rig.meddler) as _;
    DeadLetters::of(bus.layer(Joining { clock, joined_at }), &rig.queue, rig.seams.clone()).expect("it keeps some")
}

#[test]
fn what_the_bus_counts_is_waited_for() {
    in_virtual_time(async {
        let rig = Rig::new().await;
        bury(&rig, &["m1", "m2"], "bad").await;
        let found = joining(&rig, 5 * SECOND).list(&Filter::default(), 10).await.expect("declared");
        assert_eq!((ids(&found.letters), found.is_complete), (vec!["m1".to_owned(), "m2".to_owned()], true));
    });
}

#[test]
fn what_is_counted_and_never_handed_out_ends_a_run_and_is_told() {
    in_virtual_time(async {
        let rig = Rig::new().await;
        bury(&rig, &["m1", "m2"], "bad").await;
        let began_at = rig.seams.clock.now();
        let found = joining(&rig, 3_600 * SECOND).list(&Filter::default(), 10).await.expect("declared");
        assert_eq!(found, Listing { letters: vec![], examined_count: 0, is_complete: false });
        let waited = rig.seams.clock.now().since(began_at);
        assert!((10 * SECOND..=12 * SECOND).contains(&waited), "ten times the patience: {waited:?}");
        let replaying = joining(&rig, 3_600 * SECOND);
        let replayed = replaying.replay(Replay::default(), CancellationToken::new(), |_| ()).await.expect("declared");
        assert!(matches!(replayed.ended, Ended::Withheld), "{replayed:?}");
    });
}
