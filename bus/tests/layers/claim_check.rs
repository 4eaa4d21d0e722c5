use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bus::layer::{CLAIM, CLAIM_BYTES, ClaimCheck, ClaimStore, LayerExt, MemoryClaims};
use bus::pipeline::{Envelope, Policy};
use bus::{
    BusExt, Clock, ClockExt, Delivery, Error, ErrorKind, Headers, Message, Outgoing, Result, Seams, dead_letter,
};
use bus_memory::MemoryOptions;
use bytes::Bytes;

use crate::rig::*;
use crate::script::{Act, Script};

const THRESHOLD_BYTES: usize = 10;

/// Claims in memory that fail, or take their time, when told to.
#[derive(Debug)]
struct Claims {
    kept: MemoryClaims,
    put_fails: AtomicBool,
    get_fails: AtomicBool,
    takes: Mutex<Duration>,
    under_way: AtomicUsize,
    most_under_way: AtomicUsize,
    clock: Arc<dyn Clock>,
}

impl Claims {
    fn new(seams: &Seams) -> Arc<Self> {
        Arc::new(Self {
            kept: MemoryClaims::new(),
            put_fails: AtomicBool::new(false),
            get_fails: AtomicBool::new(false),
            takes: Mutex::default(),
            under_way: AtomicUsize::new(0),
            most_under_way: AtomicUsize::new(0),
            clock: seams.clock.clone(),
        })
    }

    async fn serve(&self, fails: &AtomicBool) -> Result<()> {
        let count = self.under_way.fetch_add(1, Ordering::Relaxed) + 1;
        self.most_under_way.fetch_max(count, Ordering::Relaxed);
        let takes = *self.takes.lock().expect("not poisoned");
        if !takes.is_zero() {
            self.clock.sleep(takes).await;
        }
        self.under_way.fetch_sub(1, Ordering::Relaxed);
        match fails.load(Ordering::Relaxed) {
            true => Err(Error::new(ErrorKind::Unavailable, "claim", "the disk is away")),
            false => Ok(()),
        }
    }
}

#[async_trait]
impl ClaimStore for Claims {
    fn body_bytes_max(&self) -> Option<usize> {
        self.kept.body_bytes_max()
    }

    async fn put(&self, key: &str, body: Bytes) -> Result<()> {
        self.serve(&self.put_fails).await?;
        self.kept.put(key, body).await
    }

    async fn get(&self, key: &str) -> Result<Option<Bytes>> {
        self.serve(&self.get_fails).await?;
        self.kept.get(key).await
    }

    async fn remove(&self, key: &str) -> Result<()> {
        self.kept.remove(key).await
    }
}

/// A bus with a claim check, the bus behind it, and the store.
struct Checked {
    rig: Rig,
    behind: Rig,
    claims: Arc<Claims>,
}

impl Checked {
    async fn new() -> Self {
        Self::around(Rig::new().await)
    }

    fn around(behind: Rig) -> Self {
        let claims = Claims::new(&behind.seams);
        let store: Arc<dyn ClaimStore> = claims.clone();
        let rig = Rig { bus: Arc::clone(&behind.bus), seams: behind.seams.clone() };
        let rig = rig.wrapped(|bus, _| bus.layer(ClaimCheck::new(THRESHOLD_BYTES, store)));
        Self { rig, behind, claims }
    }

    fn large(&self, key: &str) -> Outgoing {
        self.rig.outgoing(&format!("{}{}", key, "0".repeat(THRESHOLD_BYTES)))
    }

    async fn publish(&self, batch: &[&Outgoing]) {
        let batch: Vec<Outgoing> = batch.iter().map(|outgoing| (*outgoing).clone()).collect();
        let outcomes = words(&self.rig.bus.publish(batch).await);
        assert!(outcomes.iter().all(|word| word == "accepted"), "{outcomes:?}");
    }
}

fn messages(deliveries: &[Delivery]) -> Vec<&Message> {
    deliveries.iter().map(Delivery::message).collect()
}

fn reason(dead: &Delivery) -> &str {
    dead.message().headers().text(dead_letter::REASON).expect("a reason")
}

#[tokio::test(start_paused = true)]
async fn large_bodies_are_kept_beside_the_bus_and_consumers_see_the_original() {
    let checked = Checked::new().await;
    let mut odd = checked.large("a");
    let headers: Headers = [("x-claim", &[0xff][..]), ("주문", b"1")].into_iter().collect();
    *odd.message_mut() = odd.message().clone().with_headers(headers).with_content_type("application/json");
    let (small, plain) = (checked.rig.outgoing("-1"), checked.large("-"));
    checked.publish(&[&odd, &small, &plain]).await;

    let on_the_bus = checked.behind.poll(&checked.behind.receiver().await).await;
    let sizes: Vec<usize> = on_the_bus.iter().map(|delivery| delivery.message().body().len()).collect();
    assert_eq!(sizes, [0, 2, 0]);
    let headers = on_the_bus[0].message().headers();
    assert_eq!(headers.text(CLAIM), Some(&*odd.message().id().to_string()));
    assert_eq!(headers.text(CLAIM_BYTES), Some("11"));
    assert_eq!(checked.claims.kept.keys().len(), 2);
    drop(on_the_bus);

    let received = checked.rig.poll(&checked.rig.receiver().await).await;
    assert_eq!(messages(&received), [odd.message(), small.message(), plain.message()]);
}

#[tokio::test(start_paused = true)]
async fn a_body_at_the_threshold_stays_on_the_bus_unless_its_message_would_not_fit() {
    let options = MemoryOptions { message_bytes_max: Some(200), ..MemoryOptions::default() };
    let claims = Arc::new(MemoryClaims::new());
    let store = Arc::clone(&claims);
    let rig = Rig::with(options).await.wrapped(|bus, _| bus.layer(ClaimCheck::new(100, store)));
    assert_eq!(rig.bus.capability().message_bytes_max, None, "the store's");
    let sized = |body_bytes: usize, header_bytes: usize| {
        let mut outgoing = rig.outgoing(&format!("-{}", "0".repeat(body_bytes - 1)));
        outgoing.message_mut().headers_mut().set("x", "x".repeat(header_bytes - 1));
        outgoing
    };
    for (outgoing, claim_count, expected) in [
        (sized(100, 100), 0, "accepted"),
        (sized(101, 10), 1, "accepted"),
        (sized(100, 101), 2, "accepted"),
        // The claim is put, and then the bus refuses the headers: they stay on it.
        (sized(100, 201), 3, "refused TooLarge"),
    ] {
        assert_eq!(words(&[rig.bus.publish_one(outgoing).await]), [expected]);
        assert_eq!(claims.keys().len(), claim_count);
    }
}

#[tokio::test(start_paused = true)]
async fn a_message_larger_than_the_store_takes_is_refused_alone() {
    let claims = Arc::new(MemoryClaims::new().with_body_bytes_max(20));
    let rig = Rig::one_by_one().await.wrapped(|bus, _| bus.layer(ClaimCheck::new(THRESHOLD_BYTES, claims)));
    assert_eq!(rig.bus.capability().message_bytes_max, Some(20));
    let sized = |bytes: usize| rig.outgoing(&format!("-{}", "0".repeat(bytes - 1)));
    let outcomes = rig.bus.publish(vec![sized(20), sized(21), sized(5)]).await;
    assert_eq!(words(&outcomes), ["accepted", "refused TooLarge", "accepted"]);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_does_not_take_a_body_refuses_its_message_and_in_an_atomic_batch_what_stands_behind_it() {
    for (rig, behind) in [(Rig::new().await, "refused Conflict"), (Rig::one_by_one().await, "accepted")] {
        let checked = Checked::around(rig);
        checked.claims.put_fails.store(true, Ordering::Relaxed);
        let batch = vec![
            checked.rig.outgoing("b1"),
            checked.large("a"),
            checked.rig.outgoing("a1"),
            checked.rig.outgoing("b2"),
        ];
        let outcomes = checked.rig.bus.publish(batch).await;
        assert_eq!(words(&outcomes), ["accepted", "refused Unavailable", behind, "accepted"]);
        assert!(error_of(&outcomes[1]).is_retryable());
        assert!(error_of(&outcomes[1]).to_string().contains("the disk is away"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_message_published_again_claims_the_same_body() {
    let checked = Checked::new().await;
    let large = checked.large("-");
    checked.publish(&[&large]).await;
    checked.publish(&[&large]).await;
    assert_eq!(checked.claims.kept.keys(), [large.message().id().to_string()]);
    let received = checked.rig.poll(&checked.rig.receiver().await).await;
    assert_eq!(messages(&received), [large.message(), large.message()]);
}

#[tokio::test(start_paused = true)]
async fn a_crash_between_store_and_bus_leaves_a_body_and_no_message() {
    let script = Script::always(Act::Hang);
    let checked = Checked::around(Rig::new().await.wrapped(|bus, _| bus.layer(script.clone())));
    let large = checked.large("-");
    let publish = checked.rig.bus.publish(vec![large.clone()]);
    assert!(checked.rig.within(SECOND, publish).await.is_none());
    assert_eq!(checked.claims.kept.keys(), [large.message().id().to_string()]);
    assert!(checked.rig.bodies().await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn bodies_are_claimed_concurrently_and_handed_out_in_order() {
    let checked = Checked::new().await;
    let sent: Vec<Outgoing> =
        (0..40).map(|number| if number % 3 == 0 { checked.rig.outgoing("-1") } else { checked.large("-") }).collect();
    checked.publish(&sent.iter().collect::<Vec<_>>()).await;
    *checked.claims.takes.lock().expect("not poisoned") = SECOND;
    checked.claims.most_under_way.store(0, Ordering::Relaxed);
    let receiver = checked.rig.receiver().await;
    let (mut received, begun) = (Vec::new(), checked.rig.now());
    receiver.receive(40, &mut received).await.expect("received");
    assert_eq!(messages(&received), sent.iter().map(Outgoing::message).collect::<Vec<_>>());
    assert_eq!(checked.claims.most_under_way.load(Ordering::Relaxed), 16);
    assert_eq!(checked.rig.now().since(begun), 2 * SECOND, "26 bodies, 16 at a time");
}

#[tokio::test(start_paused = true)]
async fn a_claim_without_its_body_goes_to_the_dead_letters_and_what_follows_passes() {
    let checked = Checked::new().await;
    let (missing, short, fine) = (checked.large("a"), checked.large("b"), checked.large("c"));
    checked.publish(&[&missing, &short, &fine]).await;
    checked.claims.kept.remove(&missing.message().id().to_string()).await.expect("removed");
    checked.claims.kept.put(&short.message().id().to_string(), Bytes::from_static(b"other")).await.expect("put");
    let mut foreign = checked.rig.outgoing("d1");
    foreign.message_mut().headers_mut().set(CLAIM, &[0xff_u8][..]);
    assert_eq!(words(&[checked.behind.bus.publish_one(foreign).await]), ["accepted"]);

    let received = checked.rig.poll(&checked.rig.receiver().await).await;
    assert_eq!(messages(&received), [fine.message()]);
    let dead = checked.behind.dead_letters().await;
    let reasons: Vec<&str> = dead.iter().map(reason).collect();
    assert_eq!(dead.len(), 3, "{reasons:?}");
    assert!(reasons[0].contains("the store has no such body"), "{reasons:?}");
    assert!(reasons[1].contains("the body has 5 bytes instead of 11"), "{reasons:?}");
    assert!(reasons[2].contains("is no text"), "{reasons:?}");
    assert_eq!(dead[0].message().id(), missing.message().id());
}

#[tokio::test(start_paused = true)]
async fn a_dead_letter_keeps_its_claim_and_is_whole_when_it_is_read_and_when_it_is_replayed() {
    let checked = Checked::new().await;
    let large = checked.large("a");
    checked.publish(&[&large]).await;
    let receiver = checked.rig.receiver().await;
    let delivery = checked.rig.poll(&receiver).await.pop().expect("a delivery");
    assert!(receiver.settle(vec![delivery.reject("bad")]).await[0].is_settled());

    let raw = checked.behind.dead_letters().await.pop().expect("a dead letter");
    assert!(raw.message().body().is_empty() && raw.message().headers().get(CLAIM).is_some());
    let replayed_as_it_is = Outgoing::new(orders(), raw.message().clone());
    drop(raw);
    let read = checked.rig.dead_letters().await.pop().expect("a dead letter");
    assert_eq!(read.message().body(), large.message().body());
    let replayed_whole = Outgoing::new(orders(), read.message().clone());

    for (replay, through) in [
        (&replayed_as_it_is, &checked.behind.bus),
        (&replayed_as_it_is, &checked.rig.bus),
        (&replayed_whole, &checked.rig.bus),
    ] {
        assert_eq!(words(&[through.publish_one(replay.clone()).await]), ["accepted"]);
        let delivery = checked.rig.poll(&receiver).await.pop().expect("a delivery");
        assert_eq!(delivery.message().body(), large.message().body());
        assert_eq!((delivery.message().id(), delivery.message().headers().get(CLAIM)), (large.message().id(), None));
        assert!(receiver.settle(vec![delivery.ack()]).await[0].is_settled());
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_does_not_answer_makes_receiving_unavailable_and_nothing_is_lost_or_counted() {
    let checked = Checked::new().await;
    let (first, second) = (checked.rig.outgoing("a1"), checked.large("a"));
    checked.publish(&[&first, &second]).await;
    checked.claims.get_fails.store(true, Ordering::Relaxed);
    let receiver = checked.rig.receiver().await;
    let mut received = Vec::new();
    for _ in 0..3 {
        let error = receiver.receive(10, &mut received).await.expect_err("no body, no delivery");
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        assert!(received.is_empty());
    }
    checked.claims.get_fails.store(false, Ordering::Relaxed);
    receiver.receive(10, &mut received).await.expect("received");
    assert_eq!(messages(&received), [first.message(), second.message()]);
    assert_eq!(received[1].receive_count(), Some(1), "released, not given back");
}

#[tokio::test(start_paused = true)]
async fn a_pipeline_pauses_while_the_store_is_away_and_burns_no_attempt() {
    let checked = Checked::new().await;
    let sent = [checked.large("a"), checked.large("b")];
    checked.publish(&sent.iter().collect::<Vec<_>>()).await;
    checked.claims.get_fails.store(true, Ordering::Relaxed);
    let attempts = Log::default();
    let log = attempts.clone();
    let handler = move |envelope: Envelope| {
        log.add((envelope.message().body().len(), envelope.attempt()));
        async { Ok(()) }
    };
    let back = async {
        checked.rig.sleep(30 * SECOND).await;
        assert_eq!(attempts.count(), 0);
        checked.claims.get_fails.store(false, Ordering::Relaxed);
    };
    tokio::join!(checked.rig.run_pipeline(handler, Policy::default(), 60 * SECOND), back);
    assert_eq!(attempts.all(), [(11, 1), (11, 1)]);
}

#[tokio::test(start_paused = true)]
async fn a_dropped_receive_keeps_what_it_has_fetched_and_counts_once() {
    let checked = Checked::new().await;
    let sent: Vec<Outgoing> = (0..20).map(|_| checked.large("-")).collect();
    checked.publish(&sent.iter().collect::<Vec<_>>()).await;
    *checked.claims.takes.lock().expect("not poisoned") = SECOND / 2;
    let receiver = checked.rig.receiver().await;
    let mut received = Vec::new();
    // Sixteen at a time take a second for all, which no call is given.
    let short = SECOND * 6 / 10;
    assert!(checked.rig.within(short, receiver.receive(20, &mut received)).await.is_none());
    assert!(received.is_empty(), "what was not handed out was not appended");
    checked.rig.within(short, receiver.receive(20, &mut received)).await.expect("the rest").expect("received");
    assert_eq!(messages(&received), sent.iter().map(Outgoing::message).collect::<Vec<_>>());
    assert!(received.iter().all(|delivery| delivery.receive_count() == Some(1)));
}

#[tokio::test(start_paused = true)]
async fn a_delivery_whose_lease_ends_while_its_body_is_fetched_is_not_handed_out() {
    let checked = Checked::new().await;
    let sent = checked.large("a");
    checked.publish(&[&sent]).await;
    let receiver = checked.rig.receiver().await;
    *checked.claims.takes.lock().expect("not poisoned") = 40 * SECOND;
    let mut received = Vec::new();
    {
        let lost = receiver.lost();
        let receive = checked.rig.within(SECOND, receiver.receive(10, &mut received));
        assert!(receive.await.is_none());
        // The lease is 30 s.
        assert_eq!(checked.rig.within(60 * SECOND, lost).await.expect("the lease ends").len(), 1);
    }
    *checked.claims.takes.lock().expect("not poisoned") = Duration::ZERO;
    receiver.receive(10, &mut received).await.expect("received");
    assert_eq!(received[0].receive_count(), Some(2), "the delivery that is ours");
    assert!(receiver.settle(vec![received.remove(0).ack()]).await[0].is_settled());
}

#[tokio::test(start_paused = true)]
async fn stopping_gives_back_what_waits_for_its_body() {
    let checked = Checked::new().await;
    let sent = checked.large("a");
    checked.publish(&[&sent]).await;
    *checked.claims.takes.lock().expect("not poisoned") = SECOND;
    let receiver = checked.rig.receiver().await;
    let mut received = Vec::new();
    let stop = async {
        checked.rig.sleep(SECOND / 2).await;
        receiver.stop();
    };
    let (ended, ()) = tokio::join!(receiver.receive(10, &mut received), stop);
    assert_eq!(ended.map_err(|error| error.kind()), Err(ErrorKind::Closed));
    assert!(received.is_empty());
    *checked.claims.takes.lock().expect("not poisoned") = Duration::ZERO;
    let other = checked.rig.poll(&checked.rig.receiver().await).await;
    assert_eq!(messages(&other), [sent.message()]);
}
