//! A connection that breaks and is made again under a replay: what was held comes again.

use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bus::capability::LeaseTerms;
use bus::dead_letter::{Ended, Filter, Replay};
use bus::layer::{Layer, LayerExt, ReceiverLayer, layered_receiver};
use bus::{Receiver, Result, SettleOutcome, Settlement, Subscription, Token, Unsettled};
use bus_memory::MemoryOptions;
use tests::world::in_virtual_time;
use tokio::sync::Notify;

use super::*;

/// A receiver that loses its connection at its tenth and thirtieth receive, with all that it holds.
struct Connection {
    bus: Arc<dyn Bus>,
    subscription: Subscription,
    options: SubscribeOptions,
    current: Mutex<Connected>,
    broken: Notify,
}

struct Connected {
    receiver: Arc<dyn Receiver>,
    lost: Vec<Token>,
    receive_count: usize,
}

impl Connection {
    fn current(&self) -> MutexGuard<'_, Connected> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn reconnect(&self) {
        let receiver = self.bus.subscribe(&self.subscription, self.options).await.expect("declared");
        let former = std::mem::replace(&mut self.current().receiver, receiver);
        former.close().await;
        let lost = former.lost().await;
        self.current().lost.extend(lost);
        self.broken.notify_one();
    }
}

#[async_trait]
impl ReceiverLayer for Connection {
    async fn receive(&self, max: usize, into: &mut Vec<Delivery>, _: &dyn Receiver) -> Result<()> {
        let receive_count = {
            let mut current = self.current();
            current.receive_count += 1;
            current.receive_count
        };
        if matches!(receive_count, 10 | 30) {
            self.reconnect().await;
            // A broken connection is known before the next delivery.
            tokio::task::yield_now().await;
        }
        let receiver = Arc::clone(&self.current().receiver);
        receiver.receive(max, into).await
    }

    async fn settle(&self, batch: Vec<Settlement>, _: &dyn Receiver) -> Vec<SettleOutcome> {
        let receiver = Arc::clone(&self.current().receiver);
        receiver.settle(batch).await
    }

    async fn release(&self, unstarted: Vec<Unsettled>, _: &dyn Receiver) {
        let receiver = Arc::clone(&self.current().receiver);
        receiver.release(unstarted).await;
    }

    async fn lost(&self, _: &dyn Receiver) -> Vec<Token> {
        loop {
            let lost = std::mem::take(&mut self.current().lost);
            if !lost.is_empty() {
                return lost;
            }
            self.broken.notified().await;
        }
    }
}

/// The bus itself, to connect to again.
#[derive(Debug)]
struct Reconnecting(Arc<dyn Bus>);

#[async_trait]
impl Layer for Reconnecting {
    async fn subscribe(
        &self,
        subscription: &Subscription,
        options: SubscribeOptions,
        next: &dyn Bus,
    ) -> Result<Arc<dyn Receiver>> {
        let receiver = next.subscribe(subscription, options).await?;
        let current = Connected { receiver: Arc::clone(&receiver), lost: Vec::new(), receive_count: 0 };
        let connection = Connection {
            bus: Arc::clone(&self.0),
            subscription: subscription.clone(),
            options,
            current: Mutex::new(current),
            broken: Notify::new(),
        };
        Ok(layered_receiver(receiver, connection))
    }
}

#[test]
fn what_a_broken_connection_brings_again_is_neither_looked_at_nor_sent_twice() {
    in_virtual_time(async {
        let lease = LeaseTerms { duration: None, extendable: false, total_max: None };
        let rig = Rig::on(MemoryOptions { lease, ..MemoryOptions::default() }).await;
        for id in numbered(50) {
            bury(&rig, &[&id], if id.ends_with(['0', '1']) { "other" } else { "meant" }).await;
        }
        let bus: Arc<dyn Bus> = Arc::clone(&rig.bus) as _;
        let shaky = Arc::clone(&bus).layer(Reconnecting(bus));
        let dead_letters = DeadLetters::of(shaky, &rig.queue, rig.seams.clone()).expect("the memory bus keeps some");
        let filter = Filter { reason_contains: Some("meant".to_owned()), ..Filter::default() };
        let replay = Replay { filter, ..paced(1) };
        let replayed = dead_letters.replay(replay, CancellationToken::new(), |_| ()).await.expect("declared");
        assert!(matches!(replayed.ended, Ended::Complete), "{replayed:?}");
        assert_eq!((replayed.progress.examined_count, replayed.progress.replayed_count), (50, 40), "{replayed:?}");
        assert_eq!((back(&rig).await.len(), all(&rig).await.len()), (40, 10));
    });
}
