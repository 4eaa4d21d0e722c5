use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use bus::{Delivery, Receiver, SubscribeOptions, Subscription};
use bus_memory::MemoryOptions;

use crate::rig::*;

const STEPS: usize = 400;
const RECEIVERS: usize = 3;

/// A run of random calls, as text. What it does is checked on the way: keys in order, one holder.
async fn run(seed: u64) -> String {
    let rig = Rig::with(MemoryOptions { capacity_count: 10_000, ..MemoryOptions::default() }).await;
    let options = SubscribeOptions { prefetch_count_max: 8, lease: Some(20 * SECOND) };
    let mut receivers: Vec<Arc<dyn Receiver>> = Vec::new();
    for _ in 0..RECEIVERS {
        receivers.push(rig.receiver_of(&Subscription::to(orders()), options).await);
    }
    let mut dice = Dice(seed);
    let mut held: Vec<Vec<Delivery>> = (0..RECEIVERS).map(|_| Vec::new()).collect();
    let mut published_counts = [0_u32; 4];
    let mut done: BTreeMap<char, u32> = BTreeMap::new();
    let mut trace = String::new();
    for _ in 0..STEPS {
        let who = dice.below(RECEIVERS);
        match dice.below(9) {
            0 | 1 => {
                let key = dice.below(published_counts.len());
                published_counts[key] += 1;
                let name = ["a", "b", "c", "d"][key];
                rig.publish_keyed(&[&format!("{name}{}", published_counts[key])]).await;
            }
            2..=4 => {
                let batch = rig.poll(&receivers[who]).await;
                let _ = write!(trace, "{who}<{:?} ", bodies(&batch));
                held[who].extend(batch);
            }
            5 if !held[who].is_empty() => {
                // The first one in hand of its key, as an honest consumer does.
                let delivery = held[who].remove(0);
                let text = body(&delivery);
                let outcome = receivers[who].settle(vec![delivery.ack()]).await;
                let _ = write!(trace, "{text}:{outcome:?} ");
                if outcome[0].is_settled() {
                    let (key, number) = text.split_at(1);
                    let last = done.entry(key.chars().next().expect("a key")).or_default();
                    assert_eq!(number.parse::<u32>().expect("a number"), *last + 1, "seed {seed}: {text} in order");
                    *last += 1;
                } else {
                    // Its lease is lost, so what is behind it in hand must not overtake it.
                    held[who].clear();
                }
            }
            6 if !held[who].is_empty() => {
                // The head goes back, and everything behind it.
                let head = held[who].remove(0);
                let after = Duration::from_secs(dice.below(5) as u64);
                let outcome = receivers[who].settle(vec![head.nack(after)]).await;
                let _ = write!(trace, "nack {outcome:?} ");
                let rest = held[who].drain(..).map(|delivery| delivery.split().1).collect();
                receivers[who].release(rest).await;
            }
            7 => {
                held[who].clear();
            }
            _ => rig.sleep(Duration::from_secs(dice.below(8) as u64)).await,
        }
    }
    held.clear();
    // Everything published and not settled can still be had, in order.
    let last = &receivers[0];
    loop {
        rig.sleep(30 * SECOND).await;
        let batch = rig.poll(last).await;
        if batch.is_empty() {
            break;
        }
        for text in bodies(&batch) {
            let (key, number) = text.split_at(1);
            let last = done.entry(key.chars().next().expect("a key")).or_default();
            assert_eq!(number.parse::<u32>().expect("a number"), *last + 1, "seed {seed}: {text} in order");
            *last += 1;
        }
        ack_all(last, batch).await;
    }
    let done_count: u32 = done.values().sum();
    assert_eq!(done_count, published_counts.iter().sum::<u32>(), "seed {seed}: nothing lost");
    let _ = write!(trace, "{done:?}");
    trace
}

/// A small linear congruential generator (Knuth's MMIX constants): the test owns its randomness.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % end
    }
}

#[tokio::test(start_paused = true)]
async fn the_same_calls_give_the_same_answers_and_keep_order() {
    for seed in 0..200 {
        let (first, second) = (run(seed).await, run(seed).await);
        assert_eq!(first, second, "seed {seed}");
    }
}
