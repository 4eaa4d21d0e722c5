//! Headers: metadata beside the body, never inside it.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;

/// Ordered name–value pairs. Values are bytes, because AMQP and Kafka carry bytes.
///
/// Cloning shares the pairs; changing a shared copy copies them once.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Headers(Option<Arc<Vec<(Name, Bytes)>>>);

/// A header's name; `'static` names, which most are, cost no allocation.
type Name = Cow<'static, str>;

impl Headers {
    /// No headers; does not allocate.
    #[must_use]
    pub const fn new() -> Self {
        Self(None)
    }

    /// Sets `name` to `value`, replacing an earlier value of exactly that name.
    pub fn set(&mut self, name: impl Into<Name>, value: impl Into<Bytes>) {
        let (name, value) = (name.into(), value.into());
        let pairs = Arc::make_mut(self.0.get_or_insert_default());
        match pairs.iter_mut().find(|(known, _)| *known == name) {
            Some(pair) => pair.1 = value,
            None => pairs.push((name, value)),
        }
    }

    /// Removes the pair of exactly that name, if there is one.
    pub fn remove(&mut self, name: &str) {
        if self.get(name).is_some()
            && let Some(pairs) = &mut self.0
        {
            let pairs = Arc::make_mut(pairs);
            pairs.retain(|(known, _)| known != name);
            if pairs.is_empty() {
                // Equal to headers that never had one.
                self.0 = None;
            }
        }
    }

    /// The value of `name`, compared exactly.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Bytes> {
        self.iter().find(|(known, _)| *known == name).map(|(_, value)| value)
    }

    /// The value of `name` where it is UTF-8.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&str> {
        std::str::from_utf8(self.get(name)?).ok()
    }

    /// All pairs in the order they were first set.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Bytes)> {
        self.0.iter().flat_map(|pairs| pairs.iter()).map(|(name, value)| (name.as_ref(), value))
    }

    /// Number of pairs.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.as_ref().map_or(0, |pairs| pairs.len())
    }

    /// Bytes of all names and values together, as size limits count them.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        self.iter().map(|(name, value)| name.len() + value.len()).sum()
    }
}

impl<N: Into<Name>, V: Into<Bytes>> FromIterator<(N, V)> for Headers {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(pairs: I) -> Self {
        let mut headers = Self::new();
        for (name, value) in pairs {
            headers.set(name, value);
        }
        headers
    }
}

impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changing_a_copy_leaves_the_original_alone() {
        let original: Headers = [("a", "1")].into_iter().collect();
        let mut copy = original.clone();
        copy.set("a", "2");
        copy.set("b", "3");
        assert_eq!((original.text("a"), original.count()), (Some("1"), 1));
        assert_eq!((copy.text("a"), copy.count()), (Some("2"), 2));
        copy.remove("a");
        assert_eq!((copy.text("a"), copy.text("b"), copy.count()), (None, Some("3"), 1));
        assert_eq!(original.text("a"), Some("1"));
    }

    #[test]
    fn headers_without_their_last_pair_equal_none() {
        let mut headers: Headers = [("a", "1")].into_iter().collect();
        headers.remove("a");
        assert_eq!(headers, Headers::new());
    }

    #[test]
    fn odd_names_and_values_are_kept() {
        let headers: Headers = [("주문 id", &[0xff, 0][..]), ("", &b""[..])].into_iter().collect();
        assert_eq!(headers.get("주문 id").map(|value| &value[..]), Some(&[0xff, 0][..]));
        assert_eq!((headers.text("주문 id"), headers.text("")), (None, Some("")));
    }
}
