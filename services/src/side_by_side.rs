//! Several parts of a service at a time, each a task: who is woken is polled, and nobody else, and on
//! a runtime of several threads they use several.

use std::future::pending;
use std::panic::resume_unwind;
use std::pin::Pin;

use tokio::task::JoinSet;
use tracing::Instrument;

/// One of the parts.
pub(crate) type Part<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// Runs all parts to their ends and answers in their order. A part that panics takes the others and the
/// caller along. Dropped, none of them is polled any more.
pub(crate) async fn side_by_side<T: Send + 'static>(parts: impl IntoIterator<Item = Part<T>>) -> Vec<T> {
    let mut tasks = JoinSet::new();
    for (place, part) in parts.into_iter().enumerate() {
        tasks.spawn(async move { (place, part.await) }.in_current_span());
    }
    let mut ended = Vec::with_capacity(tasks.len());
    while let Some(joined) = tasks.join_next().await {
        match joined {
            Ok(answer) => ended.push(answer),
            Err(failure) if failure.is_panic() => resume_unwind(failure.into_panic()),
            // The runtime shuts down, and drops this future too.
            Err(_) => pending().await,
        }
    }
    ended.sort_unstable_by_key(|(place, _)| *place);
    ended.into_iter().map(|(_, answer)| answer).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn who_is_not_woken_is_not_polled_and_answers_keep_their_order() {
        let poll_count = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&poll_count);
        let (wake, mut woken) = oneshot::channel();
        let (go_on, mut waits) = oneshot::channel();
        let idle = std::future::poll_fn(move |context| {
            counted.fetch_add(1, Ordering::Relaxed);
            Pin::new(&mut woken).poll(context).map(|told| told.expect("not dropped"))
        });
        let busy = async {
            for _ in 0..100 {
                tokio::task::yield_now().await;
            }
            go_on.send(()).expect("somebody waits");
            2
        };
        let last = async move {
            (&mut waits).await.expect("not dropped");
            wake.send(1).expect("somebody waits");
            3
        };
        let answers = side_by_side([Box::pin(idle) as Part<i32>, Box::pin(busy), Box::pin(last)]).await;
        assert_eq!((answers, poll_count.load(Ordering::Relaxed)), (vec![1, 2, 3], 2));
    }

    #[tokio::test]
    async fn nobody_is_polled_after_it_was_dropped() {
        let poll_count = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&poll_count);
        let part = async move {
            while counted.fetch_add(1, Ordering::Relaxed) < 1_000 {
                tokio::task::yield_now().await;
            }
        };
        let mut running = Box::pin(side_by_side([Box::pin(part) as Part<()>]));
        assert!(futures_util::poll!(&mut running).is_pending());
        tokio::task::yield_now().await;
        let before = poll_count.load(Ordering::Relaxed);
        assert!(before > 0);
        drop(running);
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
        assert_eq!(poll_count.load(Ordering::Relaxed), before);
    }

    #[tokio::test]
    #[should_panic(expected = "the part gives up")]
    async fn a_panic_goes_on_to_the_caller() {
        let part = async { assert!(std::future::ready(false).await, "the part gives up") };
        side_by_side([Box::pin(part) as Part<()>, Box::pin(pending())]).await;
    }
}
