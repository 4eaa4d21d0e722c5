//! Several parts of a service as one future, each with a wake-up of its own.
//!
//! `join!` polls every part when one of them is woken. A service waits at a dozen places and is woken
//! at one.

use std::pin::Pin;

use futures_util::StreamExt;
use futures_util::stream::FuturesOrdered;

/// One of the parts.
pub(crate) type Part<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Runs all parts to their ends and answers in their order. Dropped, it drops them all.
pub(crate) async fn side_by_side<'a, T>(parts: impl IntoIterator<Item = Part<'a, T>>) -> Vec<T> {
    FuturesOrdered::from_iter(parts).collect().await
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn who_is_not_woken_is_not_polled_and_answers_keep_their_order() {
        let poll_count = AtomicUsize::new(0);
        let (wake, mut woken) = oneshot::channel();
        let (go_on, mut waits) = oneshot::channel();
        let idle = std::future::poll_fn(|context| {
            poll_count.fetch_add(1, Ordering::Relaxed);
            Pin::new(&mut woken).poll(context).map(|told| told.expect("not dropped"))
        });
        let busy = async {
            for _ in 0..100 {
                tokio::task::yield_now().await;
            }
            go_on.send(()).expect("somebody waits");
            2
        };
        let last = async {
            (&mut waits).await.expect("not dropped");
            wake.send(1).expect("somebody waits");
            3
        };
        let answers = side_by_side([Box::pin(idle) as Part<'_, i32>, Box::pin(busy), Box::pin(last)]).await;
        assert_eq!((answers, poll_count.into_inner()), (vec![1, 2, 3], 2));
    }
}
