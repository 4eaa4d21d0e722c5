//! The first pass: all orders, page by page, to find those in doubt.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::{StreamExt, TryStreamExt, stream};

use super::reading::Order;
use super::report::Unanswered;
use super::sides::Sides;
use super::{REQUESTS_MAX, books, compare};

/// Orders between two calls of the progress function, and the fewest that are worth one.
const PROGRESS_STEP_COUNT: usize = 1000;

/// What the first pass found.
#[derive(Debug, Default)]
pub(super) struct Survey {
    pub(super) order_count: usize,
    /// Pending on both sides, beyond doubt.
    pub(super) pending_count: usize,
    /// Listed by the producer, but not in agreement: to be read again, one by one.
    pub(super) in_doubt: BTreeSet<String>,
    /// Listed by the consumer alone: foreign, or younger than the producer's listing.
    pub(super) strangers: BTreeSet<String>,
}

struct Seen {
    order: Order,
    is_copied: bool,
    has_result: bool,
}

pub(super) async fn run(sides: &Sides<'_>, progress: Option<fn(usize, usize)>) -> Result<Survey, Unanswered> {
    let mut seen: BTreeMap<String, Seen> = BTreeMap::new();
    let mut in_doubt = BTreeSet::new();
    let mut strangers = BTreeSet::new();
    sides
        .orders(|order| {
            // The last word of an order that changed while it was being listed wins.
            seen.insert(order.order_number.clone(), Seen { order, is_copied: false, has_result: false });
        })
        .await?;
    sides
        .copies(|copy| match seen.get_mut(&copy.order_number) {
            Some(one) => one.is_copied = compare::copy(&one.order, Some(&copy)).is_empty(),
            None => drop(strangers.insert(copy.order_number)),
        })
        .await?;
    sides
        .results(|result| match seen.get_mut(&result.order_number) {
            Some(one) => {
                one.has_result = true;
                if !compare::result(&one.order, Some(&result)).is_empty() {
                    in_doubt.insert(result.order_number);
                }
            }
            None => drop(strangers.insert(result.order_number)),
        })
        .await?;
    for (number, one) in &seen {
        if !one.is_copied || (!one.has_result && !compare::result(&one.order, None).is_empty()) {
            in_doubt.insert(number.clone());
        }
    }

    let order_count = seen.len();
    let sure = seen.into_values().map(|one| one.order).filter(|order| !in_doubt.contains(&order.order_number));
    let (pending, sure): (Vec<Order>, Vec<Order>) = sure.partition(compare::is_pending);
    let unbalanced = unbalanced(sides, sure, order_count, progress).await?;
    in_doubt.extend(unbalanced);
    Ok(Survey { order_count, pending_count: pending.len(), in_doubt, strangers })
}

/// The orders whose books are not as they should be.
async fn unbalanced(
    sides: &Sides<'_>,
    orders: Vec<Order>,
    order_count: usize,
    progress: Option<fn(usize, usize)>,
) -> Result<Vec<String>, Unanswered> {
    let progress = progress.filter(|_| order_count > PROGRESS_STEP_COUNT);
    let mut compared_count = order_count - orders.len();
    let mut found = Vec::new();
    let mut judged = stream::iter(orders.into_iter().filter(books::are_due))
        .map(|order| async move {
            let entries = sides.books(&order.order_number).await?;
            let is_balanced = books::compare(&order, &entries).is_empty();
            Ok::<_, Unanswered>((order.order_number, is_balanced))
        })
        .buffer_unordered(REQUESTS_MAX);
    while let Some((number, is_balanced)) = judged.try_next().await? {
        compared_count += 1;
        if let Some(progress) = progress.filter(|_| compared_count.is_multiple_of(PROGRESS_STEP_COUNT)) {
            progress(compared_count, order_count);
        }
        if !is_balanced {
            found.push(number);
        }
    }
    Ok(found)
}
