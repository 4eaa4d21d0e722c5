//! The second pass: what is in doubt or known to one side alone, until it agrees or time is up.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bus::ClockExt;
use futures_util::{StreamExt, TryStreamExt, stream};

use super::REQUESTS_MAX;
use super::compare::{Finding, compare};
use super::report::{Difference, Report, Unanswered};
use super::sides::Sides;
use super::survey::Survey;

/// Pause between two readings of what differs.
const PAUSE: Duration = Duration::from_millis(200);

/// Reads every such order once, and again while it differs and `settle` has not passed; the report
/// lacks only what the sides say about themselves.
pub(super) async fn run(sides: &Sides<'_>, survey: Survey, settle: Duration) -> Result<Report, Unanswered> {
    let Survey { order_count, pending_count, mut in_doubt, strangers } = survey;
    let mut report = Report { order_count, pending_count, ..Report::default() };
    in_doubt.extend(strangers.iter().cloned());
    let deadline = sides.clock.now() + settle;
    let mut foreign = BTreeSet::new();
    loop {
        let mut different: BTreeMap<String, Vec<Difference>> = BTreeMap::new();
        let mut findings = stream::iter(std::mem::take(&mut in_doubt))
            .map(|number| async move {
                let reading = sides.reading(&number).await?;
                Ok::<_, Unanswered>((number, compare(&reading)))
            })
            .buffer_unordered(REQUESTS_MAX);
        while let Some((number, finding)) = findings.try_next().await? {
            match finding {
                Finding::Equal => {}
                Finding::Pending => report.pending_count += 1,
                Finding::Foreign => drop(foreign.insert(number)),
                Finding::Different(fields) => drop(different.insert(number, fields)),
            }
        }
        drop(findings);
        if different.is_empty() || sides.clock.now() >= deadline {
            report.differences.extend(different.into_values().flatten());
            break;
        }
        in_doubt.extend(different.into_keys());
        sides.clock.sleep(PAUSE).await;
    }
    // A stranger that is not foreign was accepted after the producer's listing.
    report.order_count += strangers.difference(&foreign).count();
    report.foreign.extend(foreign);
    Ok(report)
}
