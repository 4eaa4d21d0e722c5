//! Where an order stands.

use serde::{Deserialize, Serialize};

/// The status of an order at the producer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Status {
    /// Accepted, no result yet.
    Pending,
    /// Processed: stock moved, paid, shipped.
    Completed,
    /// Could not be processed; see [`FailureReason`].
    Failed,
    /// Called off before a result was applied.
    Cancelled,
}

impl Status {
    /// All of them, in the order of an order's life.
    pub const ALL: [Self; 4] = [Self::Pending, Self::Completed, Self::Failed, Self::Cancelled];

    /// The name on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "PENDING",
            Self::Completed => "COMPLETED",
            Self::Failed => "FAILED",
            Self::Cancelled => "CANCELLED",
        }
    }

    /// The status of that name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == name)
    }

    /// What people read, in the language of the recorded system.
    #[must_use]
    pub fn description(self) -> &'static str {
        match self {
            Self::Pending => "대기중",
            Self::Completed => "처리완료",
            Self::Failed => "처리실패",
            Self::Cancelled => "취소",
        }
    }
}

/// Why an order failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum FailureReason {
    /// Fewer units on hand than ordered.
    OutOfStock,
    /// The payment was declined.
    PaymentDeclined,
}

/// What processing an order came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Everything was done.
    Completed,
    /// It could not be done, and what was done is undone.
    Failed(FailureReason),
}

impl Outcome {
    /// The status the order has after it.
    #[must_use]
    pub fn status(self) -> Status {
        match self {
            Self::Completed => Status::Completed,
            Self::Failed(_) => Status::Failed,
        }
    }

    /// Why it failed, if it did.
    #[must_use]
    pub fn failure_reason(self) -> Option<FailureReason> {
        match self {
            Self::Completed => None,
            Self::Failed(reason) => Some(reason),
        }
    }
}
