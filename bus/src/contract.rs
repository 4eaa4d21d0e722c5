//! What an application needs from a bus, answered before the first message.

use std::fmt;
use std::time::Duration;

use crate::capability::{Durability, Order, Reach};
use crate::{Capability, Error, ErrorKind, Result};

/// The needs of an application. Start from [`Contract::default`], which needs nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contract {
    /// The least an accepted message must survive.
    pub durability: Durability,
    /// Who must be able to receive.
    pub reach: Reach,
    /// Whether messages of one key must keep their order.
    pub order_per_key: bool,
    /// Longest publish delay that is used.
    pub delay: Duration,
    /// Longest retry delay that is used.
    pub nack_delay: Duration,
    /// Largest message in bytes.
    pub message_bytes: usize,
    /// Number of attempts after which a message goes to the dead letters; `None`: never.
    pub dead_letter_after: Option<u32>,
    /// Whether more than the default group is used.
    pub groups: bool,
}

impl Default for Contract {
    fn default() -> Self {
        Self {
            durability: Durability::Volatile,
            reach: Reach::Process,
            order_per_key: false,
            delay: Duration::ZERO,
            nack_delay: Duration::ZERO,
            message_bytes: 0,
            dead_letter_after: None,
            groups: false,
        }
    }
}

/// How a bus answers one need.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The broker does it itself.
    Native,
    /// We do it on top of the broker.
    Emulated {
        /// By what means, and what that costs.
        how: String,
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

/// All needs of a contract with their answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Agreement {
    /// In the order of the contract's fields; needs that ask for nothing are left out.
    pub terms: Vec<Term>,
}

impl Contract {
    /// Answers every need from the bus's capability.
    #[must_use]
    pub fn negotiate(&self, bus: &Capability) -> Agreement {
        let mut agreement = Agreement { terms: Vec::new() };
        agreement.answer(
            format!("accepted messages survive: {}", self.durability),
            native_if(bus.durability >= self.durability, || {
                format!("this bus is {}; choose a durable one or give it a journal", bus.durability)
            }),
        );
        agreement.answer(
            format!("reach: {}", self.reach),
            native_if(bus.reach >= self.reach, || {
                "this bus cannot leave its process; choose sqs://, amqp:// or kafka://".to_owned()
            }),
        );
        if self.order_per_key {
            agreement.answer("order per key".to_owned(), match bus.order {
                Order::PerKey => Answer::Native,
                Order::None => Answer::Emulated {
                    how: "lanes in the pipeline keep it within one consumer; a second consumer of the group, a nack or an expired lease can break it".to_owned(),
                },
            });
        }
        if !self.delay.is_zero() {
            agreement.answer(format!("publish delayed by {:?}", self.delay), within(bus.delay_max, self.delay));
        }
        if !self.nack_delay.is_zero() {
            agreement
                .answer(format!("retry delayed by {:?}", self.nack_delay), within(bus.nack_delay_max, self.nack_delay));
        }
        if self.message_bytes > 0 {
            let fits = bus.message_bytes_max.is_none_or(|max| max >= self.message_bytes);
            agreement.answer(
                format!("messages of {} bytes", self.message_bytes),
                native_if(fits, || format!("the limit is {} bytes", bus.message_bytes_max.unwrap_or_default())),
            );
        }
        if let Some(attempts) = self.dead_letter_after {
            agreement.answer(
                format!("dead letter after {attempts} attempts"),
                native_if(bus.dead_letters, || {
                    "this bus keeps no dead letters; a rejected message would be lost".to_owned()
                }),
            );
        }
        if self.groups {
            agreement.answer(
                "several groups on one destination".to_owned(),
                native_if(bus.groups, || "this bus gives each message to one group only".to_owned()),
            );
        }
        agreement
    }
}

fn native_if(met: bool, why: impl FnOnce() -> String) -> Answer {
    if met { Answer::Native } else { Answer::Refused { why: why() } }
}

fn within(max: Option<Duration>, needed: Duration) -> Answer {
    match max {
        Some(max) if max >= needed => Answer::Native,
        Some(max) => Answer::Refused { why: format!("this bus delays by at most {max:?}") },
        None => Answer::Refused { why: "this bus cannot delay".to_owned() },
    }
}

impl Agreement {
    fn answer(&mut self, need: String, answer: Answer) {
        self.terms.push(Term { need, answer });
    }

    /// The terms that were refused.
    pub fn refused(&self) -> impl Iterator<Item = &Term> {
        self.terms.iter().filter(|term| matches!(term.answer, Answer::Refused { .. }))
    }

    /// `Ok` when every need is met.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] lists every refused need with its reason.
    pub fn require(&self) -> Result<()> {
        let refused: Vec<String> = self.refused().map(|term| format!("{} — {}", term.need, term.answer)).collect();
        if refused.is_empty() {
            return Ok(());
        }
        Err(Error::new(ErrorKind::Unsupported, "contract", format!("this bus cannot give: {}", refused.join("; "))))
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Native => f.write_str("native"),
            Self::Emulated { how } => write!(f, "emulated: {how}"),
            Self::Refused { why } => write!(f, "refused: {why}"),
        }
    }
}
