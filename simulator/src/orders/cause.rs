//! A failure told in about ten lines: from what was promised to what went wrong.

use std::fmt;

use super::names::Names;
use super::plan::Plan;
use super::report::Report;
use crate::chronicle::Event;

/// Most lines beside the last, which is the failure.
const LINES_MAX: usize = 11;

/// What led to a failure.
#[derive(Clone, Debug)]
pub struct Cause {
    /// Of whom it is told; `None`: of everybody.
    pub subject: Option<String>,
    /// What counts, in order.
    pub events: Vec<Event>,
    /// Faults and events about the subject that were left out.
    pub left_out_count: usize,
    /// The check that failed.
    pub check: String,
    /// How, in names that stay.
    pub why: String,
}

/// Tells a run that failed; `None` when it did not. `kept` is a run of `plan` by
/// [`run_kept`](super::run_kept).
///
/// Told are faults and crashes, the beginning and the end, and of what happened to the order or message that
/// the check names what is nearest to them: eleven events at most, of more faults the first. It is
/// what happened before and about it, and no proof of a cause: that comes of a plan from which nothing can be
/// left out.
#[must_use]
pub fn cause(plan: &Plan, kept: &Report) -> Option<Cause> {
    let (check, why) = kept.failure()?;
    let told: Vec<&Event> = kept.chronicle.iter().filter(|event| event.is_told).collect();
    let subject = subject(plan, why, &told);
    let is_about = |event: &Event| subject.as_deref().is_none_or(|subject| mentions(&event.whom, subject));
    let story: Vec<&Event> = told.into_iter().filter(|event| is_fault(event) || is_about(event)).collect();
    let places = weighty(&story);
    Some(Cause {
        events: places.iter().map(|place| story[*place].clone()).collect(),
        left_out_count: story.len() - places.len(),
        subject,
        check: check.to_owned(),
        why: Names::of(plan).stable(why),
    })
}

/// Something that went wrong by itself.
pub(super) fn is_fault(event: &Event) -> bool {
    event.who == "trouble" || (event.is_told && event.what == "died")
}

/// The order or message the check names.
fn subject(plan: &Plan, why: &str, told: &[&Event]) -> Option<String> {
    let stable = Names::of(plan).stable(why);
    let order = stable.split("order ").skip(1).find_map(|rest| {
        let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
        (!digits.is_empty()).then(|| format!("order {digits}"))
    });
    let only = || match plan.orders.as_slice() {
        [only] => Some(format!("order {}", only.customer)),
        _ => None,
    };
    let named = || {
        let word = why.split_whitespace().find(|word| {
            let is_of_it = |event: &&&Event| event.whom == *word || event.result.contains(word);
            word.len() > 5 && word.contains('-') && told.iter().any(|event| is_of_it(&event))
        })?;
        let event = told.iter().find(|event| event.whom == word || event.result.contains(word))?;
        Some(event.whom.clone())
    };
    order.or_else(named).or_else(only)
}

/// Whether a name is in a text, and not only the beginning of a longer one.
fn mentions(text: &str, name: &str) -> bool {
    let ends = text.match_indices(name).map(|(place, _)| place + name.len());
    ends.into_iter().any(|end| !text[end..].starts_with(|next: char| next.is_ascii_digit()))
}

/// The places of the faults, of the first and the last, and of what is nearest to the faults.
fn weighty(story: &[&Event]) -> Vec<usize> {
    let faults: Vec<usize> = (0..story.len()).filter(|place| is_fault(story[*place])).collect();
    let rank = |place: usize| {
        let is_end = place == 0 || place + 1 == story.len();
        // What comes after a fault is caused by it more often than what comes before.
        let distance =
            faults.iter().map(|fault| if place < *fault { 3 * (fault - place) } else { place - fault }).min();
        // Without a fault the end tells most.
        if is_end { 0 } else { distance.unwrap_or(story.len() - place) }
    };
    let mut places: Vec<usize> = (0..story.len()).collect();
    places.sort_by_key(|place| (rank(*place), *place));
    places.truncate(LINES_MAX);
    places.sort_unstable();
    places
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for event in &self.events {
            let mark = if is_fault(event) { '!' } else { ' ' };
            writeln!(f, "{mark} {:>9.3} s  {}", event.at.as_secs_f64(), sentence(event))?;
        }
        if self.left_out_count > 0 {
            writeln!(f, "                and {} more; the timeline has them", self.left_out_count)?;
        }
        write!(f, "= {}: {}", self.check, self.why)
    }
}

/// An event as people say it.
pub(super) fn sentence(event: &Event) -> String {
    let Event { who, what, whom, result, .. } = event;
    let words = [who, what, whom, result].into_iter().filter(|word| !word.is_empty());
    words.map(String::as_str).collect::<Vec<_>>().join(" ")
}
