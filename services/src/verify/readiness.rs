//! What `/readyz` tells about a side.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::report::{Difference, Report};

/// A side's readiness. A side without that route (a recorded Java service) tells nothing.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Readiness {
    ready: Option<bool>,
    checks: BTreeMap<String, Check>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Check {
    ok: bool,
    detail: String,
}

impl Readiness {
    /// Parked rows are messages the other side will never get: a difference. Everything else passes.
    pub(super) fn tell(self, side: &'static str, report: &mut Report) {
        for (name, check) in &self.checks {
            if name == "relay" && speaks_of_parked_rows(&check.detail) {
                let detail = Some(check.detail.clone());
                let (producer, consumer) = if side == "producer" { (detail, None) } else { (None, detail) };
                report.differences.push(Difference { order: None, field: "relay", producer, consumer });
            }
        }
        if self.ready == Some(false) {
            let troubled = self.checks.iter().filter(|(_, check)| !check.ok);
            let list: Vec<String> = troubled.map(|(name, check)| format!("{name} ({})", check.detail)).collect();
            report.notes.push(format!("the {side} is not ready: {}", list.join(", ")));
        }
    }
}

/// Whether the words say that there are some, not that there are none.
fn speaks_of_parked_rows(detail: &str) -> bool {
    let words: Vec<String> = detail
        .split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(str::to_ascii_lowercase)
        .collect();
    let Some(at) = words.iter().position(|word| word == "parked") else { return false };
    let near = &words[at.saturating_sub(2)..words.len().min(at + 3)];
    !near.iter().any(|word| matches!(word.as_str(), "0" | "no" | "none" | "nothing"))
}

#[cfg(test)]
mod tests {
    use super::{Readiness, Report, speaks_of_parked_rows};

    #[test]
    fn only_rows_that_are_parked_are_a_difference() {
        for some in ["2 rows parked", "1 parked row: ORD-1", "parked: 10", "3 parked"] {
            assert!(speaks_of_parked_rows(some), "{some}");
        }
        for none in ["", "publishing", "0 parked", "no rows parked", "parked: 0", "nothing parked"] {
            assert!(!speaks_of_parked_rows(none), "{none}");
        }
    }

    #[test]
    fn a_side_that_is_not_ready_is_only_mentioned() {
        let json = r#"{"ready":false,"checks":{"bus":{"ok":false,"detail":"down"},"store":{"ok":true,"detail":""}}}"#;
        let mut report = Report::default();
        serde_json::from_str::<Readiness>(json).expect("JSON").tell("producer", &mut report);
        assert_eq!((report.code(), report.notes), (0, vec!["the producer is not ready: bus (down)".to_owned()]));
    }
}
