//! Retry topics, with the option `retries=topics`: what is nacked with a delay does not wait in the hand.
//!
//! A copy goes through the delay topics to a topic of the subscription alone, which its members read
//! beside the destination's; once the copy is confirmed the original is settled. So nothing waits in front
//! of the watermark, no key is held, and other groups see nothing of it. The order of the key is lost.

use std::time::Duration;

use bus::{Destination, Subscription};

use crate::convert::id_text;
use crate::delay::OWN;
use crate::hand::Place;
use crate::label::{self, Labels, Retry};
use crate::member::Member;
use crate::parcel::Parcel;
use crate::record::Record;

/// The topic of a subscription's retries. `None`: it has none, for want of a name that fits, or because it
/// keeps dead letters, which nobody retries.
pub(crate) fn topic_of(subscription: &Subscription) -> Option<Destination> {
    let name = subscription.destination().as_str();
    if name.strip_suffix(".fifo").unwrap_or(name).ends_with("-dlq") {
        return None;
    }
    Destination::new(&format!("{subscription}.{OWN}retry")).ok()
}

impl Member {
    /// The copy of a record that is to come again after a delay.
    pub(crate) fn retry(&self, to: &Destination, after: Duration, (place, record): (Place, &Record)) -> Parcel {
        let origin = self.origin(place);
        let labels = if origin.is_labelled { Labels::of(record) } else { Labels::default() };
        let label_count = labels.count();
        let before = labels.retry.unwrap_or_default();
        let is_foreign = id_text(record).is_none();
        let foreign_id = before.foreign_id.or_else(|| is_foreign.then(|| origin.id()));
        let retry = Retry { count: before.count.saturating_add(1), foreign_id };
        let copy = |topic| Parcel::copy(topic, record.clone(), label_count);
        let (delays, now) = (&self.shared.topics.delays, self.shared.seams.clock.wall());
        delays.sent_off(to, after, now, copy).labelled(label::RETRY, retry.text())
    }
}
