//! One need and its answer.

use std::fmt;

/// How a bus answers one need.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The broker does it itself.
    Native,
    /// We do it on top of the broker.
    Emulated {
        /// By what means.
        how: String,
        /// What that costs, and what may happen that a native answer rules out.
        cost: String,
    },
    /// It cannot be had on this bus.
    Refused {
        /// Why, and what would help.
        why: String,
    },
}

/// One need and its answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Term {
    /// The need, in words.
    pub need: String,
    /// The answer.
    pub answer: Answer,
}

impl Term {
    /// Whether the need is not met.
    #[must_use]
    pub fn is_refused(&self) -> bool {
        matches!(self.answer, Answer::Refused { .. })
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Native => f.write_str("native"),
            Self::Emulated { how, cost } => write!(f, "emulated: {how}; {cost}"),
            Self::Refused { why } => write!(f, "refused: {why}"),
        }
    }
}

impl fmt::Display for Term {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} — {}", self.need, self.answer)
    }
}
