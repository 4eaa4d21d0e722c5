//! Gathers entries of many callers into calls of ten.
//!
//! An entry that finds no call under way goes at once: an idle queue costs no latency. While one is
//! under way entries gather, and go when ten of them make a full call or the call is answered. So
//! calls are full under load without anybody waiting for company (the rule of group commits).

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Most entries of one call (SQS quotas).
pub(crate) const ENTRY_COUNT_MAX: usize = 10;

/// One kind of batched call.
pub(crate) trait Call: Send + Sync + 'static {
    type Entry: Send + 'static;
    type Answer: Send + 'static;

    /// What an entry takes of a call's byte budget.
    fn bytes(entry: &Self::Entry) -> usize;

    /// Makes one call and answers per entry, in input order.
    fn make(self: Arc<Self>, batch: Vec<Self::Entry>) -> impl Future<Output = Vec<Self::Answer>> + Send;
}

/// Limits of one batcher.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) bytes_max: usize,
    pub(crate) concurrency_max: usize,
}

struct Item<C: Call> {
    entry: C::Entry,
    answer: oneshot::Sender<C::Answer>,
}

/// The way to a batcher. It ends when this is dropped or `closing` fires, after all that was handed
/// in is answered.
pub(crate) struct Batcher<C: Call>(mpsc::UnboundedSender<Item<C>>);

/// The answers to come, in input order; `None` for an entry nobody took any more.
pub(crate) struct Answers<A>(Vec<oneshot::Receiver<A>>);

impl<A> Answers<A> {
    pub(crate) async fn all(self) -> Vec<Option<A>> {
        let mut answers = Vec::with_capacity(self.0.len());
        for answer in self.0 {
            answers.push(answer.await.ok());
        }
        answers
    }
}

impl<C: Call> Batcher<C> {
    pub(crate) fn start(call: Arc<C>, limits: Limits, tasks: &TaskTracker, closing: CancellationToken) -> Self {
        let (sender, inbox) = mpsc::unbounded_channel();
        tasks.spawn(run(call, limits, inbox, closing));
        Self(sender)
    }

    /// Hands entries in, without waiting and without I/O. Dropping the answers changes nothing.
    pub(crate) fn submit(&self, entries: impl IntoIterator<Item = C::Entry>) -> Answers<C::Answer> {
        let submitted = entries.into_iter().map(|entry| {
            let (answer, receiver) = oneshot::channel();
            // A closed batcher drops the item, and with it the answer's sender: `None`.
            let _ = self.0.send(Item { entry, answer });
            receiver
        });
        Answers(submitted.collect())
    }
}

type Answered<C> = (Vec<oneshot::Sender<<C as Call>::Answer>>, Vec<<C as Call>::Answer>);
type InFlight<C> = FuturesUnordered<Pin<Box<dyn Future<Output = Answered<C>> + Send>>>;

async fn run<C: Call>(
    call: Arc<C>,
    limits: Limits,
    mut inbox: mpsc::UnboundedReceiver<Item<C>>,
    closing: CancellationToken,
) {
    let mut waiting: std::collections::VecDeque<Item<C>> = std::collections::VecDeque::new();
    let mut arrived = Vec::new();
    let mut in_flight: InFlight<C> = FuturesUnordered::new();
    let mut is_open = true;
    loop {
        while in_flight.len() < limits.concurrency_max
            && !waiting.is_empty()
            && (in_flight.is_empty() || waiting.len() >= ENTRY_COUNT_MAX)
        {
            let (entries, senders): (Vec<_>, Vec<_>) =
                take_batch(&mut waiting, limits.bytes_max).into_iter().map(|item| (item.entry, item.answer)).unzip();
            let call = Arc::clone(&call);
            in_flight.push(Box::pin(async move { (senders, call.make(entries).await) }));
        }
        if !is_open && in_flight.is_empty() && waiting.is_empty() {
            return;
        }
        tokio::select! {
            biased;
            Some((senders, answers)) = in_flight.next(), if !in_flight.is_empty() => {
                for (sender, answer) in senders.into_iter().zip(answers) {
                    // A caller that has gone does not need it.
                    let _ = sender.send(answer);
                }
            }
            count = inbox.recv_many(&mut arrived, 1_024), if is_open => {
                is_open = count > 0;
                waiting.extend(arrived.drain(..));
            }
            () = closing.cancelled(), if is_open && !inbox.is_closed() => inbox.close(),
        }
    }
}

fn take_batch<C: Call>(waiting: &mut std::collections::VecDeque<Item<C>>, bytes_max: usize) -> Vec<Item<C>> {
    let mut batch: Vec<Item<C>> = Vec::with_capacity(ENTRY_COUNT_MAX);
    let mut bytes = 0;
    while batch.len() < ENTRY_COUNT_MAX
        && let Some(next) = waiting.front()
        && (batch.is_empty() || bytes + C::bytes(&next.entry) <= bytes_max)
        && let Some(item) = waiting.pop_front()
    {
        bytes += C::bytes(&item.entry);
        batch.push(item);
    }
    batch
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use tokio::sync::Semaphore;

    use super::*;

    /// Answers its entries when a permit is given, and keeps the sizes of its calls.
    struct Doubling {
        permits: Semaphore,
        calls: Mutex<Vec<usize>>,
    }

    impl Call for Doubling {
        type Entry = usize;
        type Answer = usize;

        fn bytes(entry: &usize) -> usize {
            *entry
        }

        async fn make(self: Arc<Self>, batch: Vec<usize>) -> Vec<usize> {
            self.calls.lock().unwrap().push(batch.len());
            self.permits.acquire().await.expect("open").forget();
            batch.into_iter().map(|entry| entry * 2).collect()
        }
    }

    fn rig(concurrency_max: usize) -> (Arc<Doubling>, Batcher<Doubling>, TaskTracker, CancellationToken) {
        let call = Arc::new(Doubling { permits: Semaphore::new(0), calls: Mutex::default() });
        let (tasks, closing) = (TaskTracker::new(), CancellationToken::new());
        let limits = Limits { bytes_max: 1_000, concurrency_max };
        let batcher = Batcher::start(Arc::clone(&call), limits, &tasks, closing.clone());
        (call, batcher, tasks, closing)
    }

    #[tokio::test]
    async fn the_first_goes_at_once_and_the_others_gather_behind_it() {
        let (call, batcher, ..) = rig(4);
        let first = batcher.submit([1]);
        tokio::task::yield_now().await;
        let others = batcher.submit(2..=5);
        tokio::task::yield_now().await;
        assert_eq!(*call.calls.lock().unwrap(), [1], "four do not make a full call");
        call.permits.add_permits(2);
        assert_eq!(first.all().await, [Some(2)]);
        assert_eq!(others.all().await, [Some(4), Some(6), Some(8), Some(10)]);
        assert_eq!(*call.calls.lock().unwrap(), [1, 4]);
    }

    #[tokio::test]
    async fn a_full_call_does_not_wait_for_the_one_before_it() {
        let (call, batcher, ..) = rig(2);
        let answers = batcher.submit(std::iter::repeat_n(1, 25));
        tokio::task::yield_now().await;
        assert_eq!(*call.calls.lock().unwrap(), [10, 10], "at most two under way");
        call.permits.add_permits(3);
        assert_eq!(answers.all().await.len(), 25);
        assert_eq!(*call.calls.lock().unwrap(), [10, 10, 5]);
    }

    #[tokio::test]
    async fn a_batch_keeps_to_the_byte_budget_and_one_large_entry_goes_alone() {
        let (call, batcher, ..) = rig(8);
        call.permits.add_permits(10);
        batcher.submit([600, 600, 400, 2_000]).all().await;
        assert_eq!(*call.calls.lock().unwrap(), [1, 2, 1]);
    }

    #[tokio::test]
    async fn closing_answers_what_was_handed_in_and_takes_no_more() {
        let (call, batcher, tasks, closing) = rig(1);
        let before = batcher.submit([1, 2]);
        closing.cancel();
        call.permits.add_permits(5);
        assert_eq!(before.all().await, [Some(2), Some(4)]);
        tasks.close();
        tasks.wait().await;
        assert_eq!(batcher.submit([3]).all().await, [None]);
    }
}
