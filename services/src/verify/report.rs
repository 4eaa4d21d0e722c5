//! What a comparison found, for people and for programs.

use std::fmt;
use std::process::ExitCode;

use serde::Serialize;

/// One field of one order in which the sides differ; without an order, something about a side.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Difference {
    /// The order's number.
    pub order: Option<String>,
    /// Which field.
    pub field: &'static str,
    /// What the producer says, or what follows from it.
    pub producer: Option<String>,
    /// What the consumer says.
    pub consumer: Option<String>,
}

impl Difference {
    /// A difference about an order.
    pub(super) fn of(
        order: &str,
        field: &'static str,
        producer: impl Into<String>,
        consumer: impl Into<String>,
    ) -> Self {
        Self { order: Some(order.to_owned()), field, producer: Some(producer.into()), consumer: Some(consumer.into()) }
    }
}

/// A side that gave no usable answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Unanswered {
    /// `producer` or `consumer`.
    pub side: &'static str,
    /// What was asked.
    pub url: String,
    /// What came instead of an answer.
    pub reason: String,
    /// What to do about it.
    pub hint: String,
}

/// The outcome of [`run`](super::run).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// Orders of the producer that were compared.
    pub order_count: usize,
    /// Of these, how many wait for a result on both sides.
    pub pending_count: usize,
    /// Orders the consumer has from somebody else's producer.
    pub foreign: Vec<String>,
    /// What differs, by order.
    pub differences: Vec<Difference>,
    /// What is worth knowing but is no difference.
    pub notes: Vec<String>,
    /// Who did not answer; then the rest is empty.
    pub unanswered: Option<Unanswered>,
}

impl Report {
    /// 0: equal, 1: differences, 2: a side did not answer.
    #[must_use]
    pub fn exit_code(&self) -> ExitCode {
        ExitCode::from(self.code())
    }

    pub(super) fn code(&self) -> u8 {
        match self {
            Self { unanswered: Some(_), .. } => 2,
            Self { differences, .. } if !differences.is_empty() => 1,
            _ => 0,
        }
    }

    /// One JSON object.
    #[must_use]
    pub fn to_json(&self) -> String {
        let outcome = ["equal", "different", "unanswered"][usize::from(self.code())];
        let mut report = serde_json::to_value(self).unwrap_or_default();
        report["outcome"] = outcome.into();
        format!("{report:#}\n")
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(order) = &self.order {
            write!(f, "{} ", Plain(order))?;
        }
        f.write_str(self.field)?;
        for (side, value) in [("producer", &self.producer), ("consumer", &self.consumer)] {
            if let Some(value) = value {
                write!(f, " {side}={}", Plain(value))?;
            }
        }
        Ok(())
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(Unanswered { side, url, reason, hint }) = &self.unanswered {
            return writeln!(f, "the {side} did not answer: {url}: {reason}\nhint: {hint}");
        }
        for difference in &self.differences {
            writeln!(f, "{difference}")?;
        }
        for order in &self.foreign {
            writeln!(f, "{} foreign: our producer never had it", Plain(order))?;
        }
        for note in &self.notes {
            writeln!(f, "note: {note}")?;
        }
        let Self { order_count, pending_count, foreign, differences, .. } = self;
        let foreign = foreign.len();
        match differences.len() {
            0 => write!(f, "equal: {order_count} orders")?,
            count => write!(f, "different: {count} differences, {order_count} orders")?,
        }
        writeln!(f, ", {pending_count} of them pending, {foreign} foreign")
    }
}

/// A value on its way to a terminal: in quotes, with control characters escaped, unless it is one plain word.
struct Plain<'a>(&'a str);

impl fmt::Display for Plain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_word = !self.0.is_empty() && !self.0.contains(|c: char| c.is_whitespace() || c.is_control() || c == '"');
        if is_word { f.write_str(self.0) } else { write!(f, "{:?}", self.0) }
    }
}
