//! Checks on evidence made up for them: each fails for what it is there for, and for nothing else.

use bus::dead_letter::{Rejection, mark};
use bus::{Destination, Message, MessageId, Subscription};
use simulator::orders::checks::{Verdict, all};
use simulator::orders::{Ended, Evidence, Placed, Runs, Told};

fn check(name: &str, evidence: &Evidence) -> Verdict {
    let verdicts = all(evidence);
    let found = verdicts.into_iter().find(|(own, _)| *own == name);
    found.expect("a check of that name").1
}

fn fails(name: &str, evidence: &Evidence) -> bool {
    matches!(check(name, evidence), Verdict::Fail(_))
}

/// One message that was run once and is done.
fn evidence() -> Evidence {
    let mut evidence = Evidence { placed: vec![Placed::default()], ..Evidence::default() };
    let runs = Runs { attempt_max: 1, start_count: 1, last: Ended::Done, ..Runs::default() };
    evidence.seen.runs.insert(("orders".to_owned(), "m-1".to_owned()), runs);
    evidence
}

#[test]
fn what_was_seen_of_one_quiet_message_passes() {
    let names = ["processed once", "order per key", "lease exclusivity", "dead letter after N attempts"];
    for name in names.into_iter().chain(["bounded amplification"]) {
        assert_eq!(check(name, &evidence()), Verdict::Pass, "{name}");
    }
}

#[test]
fn a_message_with_two_handlers_at_once_was_leased_twice() {
    let mut evidence = evidence();
    evidence.seen.shared_messages.push("m-1 of ORD-1".to_owned());
    assert!(fails("lease exclusivity", &evidence));
    assert!(!fails("order per key", &evidence));
}

#[test]
fn a_message_that_is_processed_again_and_an_outcome_told_again_are_too_much() {
    let mut again = evidence();
    again.seen.runs.values_mut().for_each(|runs| runs.again_count = 1);
    assert!(fails("processed once", &again));
    let mut told = evidence();
    let outcome = |event: &str| Told { order: "ORD-1".to_owned(), event: event.to_owned(), version: Some(1) };
    told.seen.told = vec![outcome("ORDER_UPDATED"), outcome("PROCESSING_COMPLETED"), outcome("ORDER_UPDATED")];
    assert!(!fails("processed once", &told));
    told.seen.told.push(outcome("PROCESSING_FAILED"));
    assert!(fails("processed once", &told));
}

#[test]
fn versions_may_overtake_each_other_only_where_no_order_is_promised() {
    let mut evidence = evidence();
    let told = |order: &str, version| Told { order: order.to_owned(), event: "ORDER_UPDATED".to_owned(), version };
    evidence.seen.told = vec![told("A", Some(2)), told("B", Some(1)), told("A", None), told("A", Some(1))];
    assert!(!fails("order per key", &evidence));
    evidence.is_ordered = true;
    assert!(fails("order per key", &evidence));
    evidence.seen.told.pop();
    assert!(!fails("order per key", &evidence));
}

#[test]
fn a_version_that_was_lower_once_went_back_though_the_last_is_the_highest() {
    let mut evidence = Evidence { copies: vec![serde_json::json!({"version": 3})], ..evidence() };
    assert_eq!(check("versions never go back", &evidence), Verdict::Pass);
    evidence.seen.backwards.push("copy ORD-1 went from version 2 to 1".to_owned());
    assert!(fails("versions never go back", &evidence));
}

#[test]
fn a_dead_letter_has_had_all_its_attempts_or_was_rejected() {
    let subscription = Subscription::to(Destination::new("orders").unwrap());
    let with = |runs: Runs, burnt_count_max, is_dead: bool| {
        let mut evidence = Evidence { burnt_count_max, ..evidence() };
        evidence.seen.runs.values_mut().for_each(|seen| *seen = runs.clone());
        let mut dead = Message::new(MessageId::parse("m-1").unwrap(), &b"{}"[..]);
        let at = jiff::Timestamp::UNIX_EPOCH;
        mark(&mut dead, &Rejection { subscription: &subscription, reason: "why", receive_count: None, at });
        evidence.dead.extend(is_dead.then_some(dead));
        fails("dead letter after N attempts", &evidence)
    };
    let spent = |spent_count: u32, last| Runs {
        attempt_max: spent_count.min(5),
        start_count: spent_count,
        stored_count: spent_count,
        spent_count,
        failed_count: spent_count,
        last,
        ..Runs::default()
    };
    let burnt = |burnt_count: u32| Runs { stored_count: 3 + burnt_count, ..spent(3, Ended::Failed) };
    let pardoned = Runs { pardoned_count: 2, start_count: 5, ..burnt(2) };
    let rejected = Runs { failed_count: 0, ..spent(1, Ended::Rejected) };
    let rows = [
        ("five failed", spent(5, Ended::Failed), 0, true, false),
        ("the first was rejected", rejected, 0, true, false),
        ("too early", spent(4, Ended::Failed), 0, true, true),
        ("too early, and something died that burnt none of its starts", spent(3, Ended::Failed), 4, true, true),
        ("starts were counted twice, and nothing died", burnt(2), 0, true, true),
        ("starts were counted twice, and only one can be explained", burnt(2), 1, true, true),
        ("two starts were counted and never seen, as two faults can do", burnt(2), 2, true, false),
        ("two were to be taken back, and were not", pardoned, 2, true, false),
        ("too late", spent(6, Ended::Failed), 9, true, true),
        ("never", spent(5, Ended::Failed), 9, false, true),
        ("not yet", spent(4, Ended::Failed), 0, false, false),
    ];
    for (about, runs, burnt_count_max, is_dead, is_wrong) in rows {
        assert_eq!(with(runs, burnt_count_max, is_dead), is_wrong, "{about}");
    }
}

#[test]
fn an_order_that_costs_hundreds_of_deliveries_or_calls_is_a_storm() {
    let rows = [(1, 200, 60, true), (1, 201, 0, false), (1, 0, 61, false), (0, 0, 7, true), (0, 201, 0, false)];
    for (order_count, received, http_calls, is_bearable) in rows {
        let mut evidence = Evidence { placed: vec![Placed::default(); order_count], ..evidence() };
        (evidence.work.received, evidence.work.http_calls) = (received, http_calls);
        assert_eq!(!fails("bounded amplification", &evidence), is_bearable, "{received} and {http_calls}");
    }
}
