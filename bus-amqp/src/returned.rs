//! Messages that came back as unroutable, until their confirms are looked at.

use std::collections::BTreeMap;

use lapin::types::ShortString;

/// By queue and message id, counted: the same message may be on its way twice.
#[derive(Debug, Default)]
pub(crate) struct Returned(BTreeMap<(ShortString, Option<ShortString>), usize>);

impl Returned {
    pub(crate) fn add(&mut self, queue: ShortString, message_id: Option<ShortString>) {
        *self.0.entry((queue, message_id)).or_default() += 1;
    }

    /// Whether this one came back; it is told once.
    pub(crate) fn take(&mut self, queue: &ShortString, message_id: Option<&ShortString>) -> bool {
        if self.0.is_empty() {
            return false;
        }
        let key = (queue.clone(), message_id.cloned());
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
        let (queue, id, other) = ("orders".into(), Some("1".into()), Some("2".into()));
        returned.add("orders".into(), id.clone());
        assert!(!returned.take(&queue, other.as_ref()));
        assert!(returned.take(&queue, id.as_ref()));
        assert!(!returned.take(&queue, id.as_ref()));
    }
}
