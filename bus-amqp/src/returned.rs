//! Messages that came back as unroutable, until their confirms are looked at.

use std::collections::BTreeMap;

use bus::MessageId;
use lapin::types::ShortString;

/// By queue and message id, counted: the same message may be on its way twice.
#[derive(Debug, Default)]
pub(crate) struct Returned(BTreeMap<(ShortString, Option<ShortString>), usize>);

impl Returned {
    pub(crate) fn add(&mut self, queue: ShortString, message_id: Option<ShortString>) {
        *self.0.entry((queue, message_id)).or_default() += 1;
    }

    /// Whether this one came back; it is told once.
    pub(crate) fn take(&mut self, queue: &str, message_id: &MessageId) -> bool {
        if self.0.is_empty() {
            return false;
        }
        let key = (queue.into(), Some(message_id.to_string().into()));
        let Some(count) = self.0.get_mut(&key) else { return false };
        *count -= 1;
        if *count == 0 {
            self.0.remove(&key);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_return_is_told_once_to_the_message_it_is_of() {
        let mut returned = Returned::default();
        let [one, two] = ["1", "2"].map(|id| MessageId::parse(id).expect("legal"));
        returned.add("orders".into(), Some("1".into()));
        assert!(!returned.take("orders", &two) && !returned.take("others", &one));
        assert!(returned.take("orders", &one));
        assert!(!returned.take("orders", &one));
    }
}
