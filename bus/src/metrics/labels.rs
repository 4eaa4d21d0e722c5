//! Label sets: names that were declared, and words of ours.

use std::fmt;

use prometheus_client::encoding::{EncodeLabel, EncodeLabelSet, LabelSetEncoder};

use crate::{Destination, Group, Subscription};

/// Stands for every name that was never declared: there is no end to those. No legal name has
/// parentheses.
const UNDECLARED: &str = "(undeclared)";

/// What happened to messages on their way to a destination, `None` for one that does not exist.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct To {
    pub(crate) destination: Option<Destination>,
    pub(crate) outcome: &'static str,
}

/// A subscription and `N` words about it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct At<const N: usize> {
    subscription: Subscription,
    words: [(&'static str, &'static str); N],
}

impl<const N: usize> At<N> {
    pub(crate) fn new(subscription: &Subscription, words: [(&'static str, &'static str); N]) -> Self {
        Self { subscription: subscription.clone(), words }
    }
}

impl EncodeLabelSet for To {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> fmt::Result {
        let destination = self.destination.as_ref().map_or(UNDECLARED, Destination::as_str);
        ("destination", destination).encode(encoder.encode_label())?;
        ("outcome", self.outcome).encode(encoder.encode_label())
    }
}

impl<const N: usize> EncodeLabelSet for At<N> {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> fmt::Result {
        ("destination", self.subscription.destination().as_str()).encode(encoder.encode_label())?;
        ("group", self.subscription.group().map_or("", Group::as_str)).encode(encoder.encode_label())?;
        self.words.iter().try_for_each(|word| word.encode(encoder.encode_label()))
    }
}
