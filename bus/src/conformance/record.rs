//! What a setting shows, as a file: what the bus says it can, what each case comes to, and what it answers
//! to fixed questions.
//!
//! A kept record makes two settings comparable that never run side by side, such as a server and a
//! model of it. It cannot go stale: whoever runs the suite compares it with what is true today.

use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use super::answers::answers;
use super::case::Case;
use super::run::runtime;
use super::{Harness, Time, World, cases};
use crate::{Capability, Result, Seams};

/// Set to anything, it writes the records instead of comparing them.
const WRITE: &str = "CONFORMANCE_RECORD";

/// A line of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// A field of [`Capability`] behind `capability.`, the [name](Case::name) of a case, or a question behind
    /// `answer to`.
    pub about: String,
    /// The field's value, or the answer; `shown` of a case that has to pass, otherwise why it is not: `skipped: FLAG`,
    /// `deviation: REASON` or `left out: REASON`.
    pub standing: String,
}

impl Line {
    /// The lines of a record.
    #[must_use]
    pub fn all(record: &str) -> Vec<Self> {
        let split = |line: &str| {
            let (about, standing) = line.split_once(" = ")?;
            Some(Self { about: about.to_owned(), standing: standing.to_owned() })
        };
        record.lines().filter_map(split).collect()
    }
}

/// The record of today, of cases some of which are left out with a reason.
pub(super) fn record(harness: Arc<dyn Harness>, left_out: &dyn Fn(&Case) -> Option<&'static str>) -> Result<String> {
    let time = harness.time();
    let seams = match time {
        Time::Virtual => Seams::repeatable(jiff::Timestamp::UNIX_EPOCH, 1),
        Time::Real { .. } => Seams::system(),
    };
    let runtime = runtime(time).expect("the machine gives a runtime");
    let record = runtime.block_on(async {
        let world = World::open(harness, seams).await?;
        let mut text = String::new();
        let mut line = |about: &str, standing: &str| {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{about} = {standing}");
        };
        for (field, value) in fields(world.capability()) {
            line(&format!("capability.{field}"), &value);
        }
        let harness = world.harness();
        for case in cases::all() {
            let flag = case.needs().iter().find_map(|need| need.unmet(world.capability(), harness));
            let deviation = harness.deviations().iter().find(|deviation| deviation.case == case.name());
            let standing = match (left_out(case), flag, deviation) {
                (Some(reason), _, _) => format!("left out: {reason}"),
                (None, Some(flag), _) => format!("skipped: {flag}"),
                (None, None, Some(deviation)) => format!("deviation: {}", deviation.reason),
                (None, None, None) => "shown".to_owned(),
            };
            line(case.name(), &standing);
        }
        for (question, answer) in answers(&world).await {
            line(&format!("answer to {question}"), &answer);
        }
        Ok(text)
    });
    runtime.shutdown_timeout(std::time::Duration::from_secs(1));
    record
}

/// Compares with what is kept at `path`, or writes it where that is asked for.
pub(super) fn compare(path: &Path, today: &str) -> std::result::Result<(), String> {
    if std::env::var_os(WRITE).is_some() {
        return fs::write(path, today).map_err(|error| format!("{}: {error}", path.display()));
    }
    let kept = fs::read_to_string(path).unwrap_or_default();
    changes(&kept, today).map_or(Ok(()), |changes| {
        let path = path.display();
        let advice = format!("if the change is meant, run this test with {WRITE}=1 and read the difference");
        Err(format!("the record {path} is stale; {advice}:\n{changes}"))
    })
}

/// What is in one of two records and not in the other; `None` when they are the same.
fn changes(kept: &str, today: &str) -> Option<String> {
    if kept == today {
        return None;
    }
    let (kept, today) = (Line::all(kept), Line::all(today));
    let told = |sign: char, line: &Line| format!("{sign} {} = {}", line.about, line.standing);
    let gone = kept.iter().filter(|line| !today.contains(line)).map(|line| told('-', line));
    let news = today.iter().filter(|line| !kept.contains(line)).map(|line| told('+', line));
    Some(gone.chain(news).collect::<Vec<_>>().join("\n"))
}

/// Every field; a new one does not compile until it is named here.
fn fields(capability: &Capability) -> [(&'static str, String); 15] {
    let Capability {
        durability,
        reach,
        order,
        delay_max,
        nack_delay_max,
        lease,
        receive_count,
        release_uncounted,
        dead_letters,
        groups,
        message_bytes_max,
        publish_atomic,
        settle_confirmed,
        depth,
        purge,
    } = capability;
    [
        ("durability", format!("{durability:?}")),
        ("reach", format!("{reach:?}")),
        ("order", format!("{order:?}")),
        ("delay_max", format!("{delay_max:?}")),
        ("nack_delay_max", format!("{nack_delay_max:?}")),
        ("lease", format!("{:?} extendable {} at most {:?}", lease.duration, lease.extendable, lease.total_max)),
        ("receive_count", receive_count.to_string()),
        ("release_uncounted", release_uncounted.to_string()),
        ("dead_letters", dead_letters.to_string()),
        ("groups", groups.to_string()),
        ("message_bytes_max", format!("{message_bytes_max:?}")),
        ("publish_atomic", publish_atomic.to_string()),
        ("settle_confirmed", settle_confirmed.to_string()),
        ("depth", depth.to_string()),
        ("purge", purge.to_string()),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_that_would_be_written_otherwise_is_stale_and_says_in_what() {
        let kept = "capability.order = None\na_case = shown\n";
        assert_eq!(changes(kept, kept), None);
        let today = "capability.order = None\na_case = skipped: groups is off\n";
        let said = changes(kept, today);
        assert_eq!(said.as_deref(), Some("- a_case = shown\n+ a_case = skipped: groups is off"));
        assert!(changes("", today).is_some(), "a record that is not kept yet");
    }
}
