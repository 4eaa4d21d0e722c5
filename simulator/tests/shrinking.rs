//! A failure is cut down to what it takes, told in a few lines and drawn; planted bugs show that the right
//! fault is named.

use std::collections::BTreeMap;
use std::fs;
use std::process::{Command, Output};

use simulator::broker::Model;
use simulator::orders::bugs::Bug;
use simulator::orders::{
    Cause, Fault, KeptPlan, Plan, Profile, Shrunk, Strength, Strike, cause, concrete, run, run_as, run_kept, sequence,
    shrink, timeline,
};

const RUNS_MAX: u32 = 600;

/// The least plan of the first swarm seed with which `bug` fails on `model`.
fn least(bug: Bug, model: Model) -> (Shrunk, Cause) {
    least_of(bug, |seed| Plan::draw(seed, model, Profile::Swarm, 3))
}

fn least_of(bug: Bug, draw: impl Fn(u64) -> Plan) -> (Shrunk, Cause) {
    let mut plans = (1..200).map(draw);
    let fails = |plan: &Plan| run_as(plan, Some(bug)).expect("a plan of today").failure().is_some();
    let plan = plans.find(fails).expect("it is found");
    let shrunk = shrink(&plan, Some(bug), RUNS_MAX, &mut |_, _| {}).expect("it fails");
    let report = run_kept(&shrunk.plan, Some(bug)).expect("a plan of today");
    let cause = cause(&shrunk.plan, &report).expect("it fails");
    (shrunk, cause)
}

#[test]
fn a_run_written_down_fault_by_fault_is_the_same_run() {
    for model in Model::ALL {
        for seed in 1..3 {
            let drawn = Plan::draw(seed, model, Profile::Nightmare, 2);
            let kept = run_kept(&drawn, None).expect("a plan of today");
            let written = concrete(&drawn, &kept);
            assert!(written.strikes.as_ref().is_some_and(|strikes| strikes.len() > 10));
            let again = run(&written).expect("a plan of today");
            assert_eq!((again.hash, again.unmet), (kept.hash, Vec::new()), "seed {seed} on {}", model.name());
        }
    }
}

#[test]
fn a_settlement_that_fails_is_the_same_one_when_other_orders_are_left_out() {
    let drawn = (1..50).map(|seed| Plan::draw(seed, Model::Sqs, Profile::Only(Fault::SettlementPartial), 3));
    let written = drawn.map(|drawn| concrete(&drawn, &run_kept(&drawn, None).expect("a plan of today")));
    let fail = |plan: &Plan, own: &str| plan.strikes.iter().flatten().any(|strike| strike.whom.ends_with(own));
    let of_each = |plan: &Plan| (0..3).all(|customer| fail(plan, &format!("of order {customer}")));
    let written = written.into_iter().find(of_each).expect("some fail of each order");
    for customer in 0..3 {
        let own = format!("of order {customer}");
        let mut alone = written.clone();
        alone.orders.retain(|wanted| wanted.customer == customer);
        let strikes = alone.strikes.as_mut().expect("it is written down");
        strikes.retain(|strike| strike.whom.ends_with(&own));
        assert_eq!(run(&alone).expect("a plan of today").unmet, Vec::<String>::new(), "{own}");
    }
}

#[test]
fn a_shrunk_plan_names_what_a_planted_bug_needs_and_no_more() {
    let cases: [(Bug, Model, &[Fault]); 2] = [
        (Bug::NoDeadLetter, Model::RabbitMq, &[Fault::Poison, Fault::Truncated]),
        (Bug::AnswerBeforeSync, Model::Kafka, &[]),
    ];
    for (bug, model, faults) in cases {
        let (shrunk, cause) = least(bug, model);
        let needs = shrunk.needs();
        let plan = &shrunk.plan;
        let strikes = plan.strikes.as_ref().expect("it is written down");
        assert!(shrunk.is_minimal, "{needs}");
        assert!(plan.orders.len() <= 1, "{needs}");
        match faults {
            [] => assert_eq!((strikes.len(), plan.crashes.len()), (0, 1), "a crash and nothing else: {needs}"),
            _ => {
                assert_eq!((strikes.len(), plan.crashes.len()), (1, 0), "one fault and nothing else: {needs}");
                assert!(faults.contains(&strikes[0].fault), "{needs}");
            }
        }
        let story = cause.to_string();
        let marked = story.lines().filter(|line| line.starts_with('!')).count();
        assert_eq!(marked, 1, "the one fault is told of:\n{story}");
        assert!((3..15).contains(&story.lines().count()), "about ten lines:\n{story}");
        assert!(story.lines().last().is_some_and(|last| last.contains(&shrunk.check)), "{story}");
        assert!(run(plan).expect("a plan of today").failure().is_none(), "the honest services survive it");
    }
}

#[test]
fn where_two_faults_are_needed_neither_alone_fails() {
    // A death at the right moment does as well as a publish that fails: of that there is none here.
    let without_deaths = |seed| Plan { crashes: Vec::new(), ..Plan::draw(seed, Model::Sqs, Profile::Swarm, 3) };
    let (shrunk, _) = least_of(Bug::AckBeforeDeadLetter, without_deaths);
    assert!(shrunk.needs().contains("neither alone fails"), "{}", shrunk.needs());
    let strikes = shrunk.plan.strikes.clone().expect("it is written down");
    assert_eq!(strikes.len(), 2, "what nobody can read, and a publish that fails: {strikes:?}");
    for strike in strikes {
        let alone = Plan { strikes: Some(vec![strike]), ..shrunk.plan.clone() };
        let report = run_kept(&alone, Some(Bug::AckBeforeDeadLetter)).expect("a plan of today");
        assert_ne!(report.failure().map(|(check, _)| check), Some(shrunk.check.as_str()), "one is not enough");
    }
}

#[test]
fn the_bound_on_runs_is_kept_and_told() {
    let bug = Some(Bug::AckBeforeCommit);
    let plans = (1..200).map(|seed| Plan::draw(seed, Model::Sqs, Profile::Swarm, 4));
    let fails = |plan: &Plan| run_as(plan, bug).expect("a plan of today").failure().is_some();
    let plan = plans.into_iter().find(fails).expect("it is found");
    let shrunk = shrink(&plan, bug, 5, &mut |_, _| {}).expect("it fails");
    assert_eq!((shrunk.run_count, shrunk.is_minimal), (5, false));
    let needs = shrunk.needs();
    assert!(needs.starts_with("fails with: ") && needs.contains("the bound of 5 runs"), "{needs}");
    let again = run_as(&shrunk.plan, bug).expect("a plan of today");
    assert_eq!(again.failure().map(|(check, _)| check), Some(shrunk.check.as_str()));
    assert_eq!(again.unmet, Vec::<String>::new(), "what is written of orders that are gone is gone, too");

    let drawn = shrink(&plan, bug, 0, &mut |_, _| {}).expect("it fails");
    assert_eq!((drawn.plan.clone(), drawn.run_count, drawn.is_minimal), (plan, 0, false));
    assert!(drawn.needs().starts_with("needs: not known in 0 runs"), "{}", drawn.needs());
}

#[test]
fn what_is_written_and_never_fires_is_unmet() {
    let calm = Plan { healed_at_ms: 20_000, ..Plan::draw(1, Model::Sqs, Profile::Calm, 1) };
    let poisoned = Plan::draw(1, Model::Sqs, Profile::Only(Fault::Poison), 1);
    let poisoned = concrete(&poisoned, &run_kept(&poisoned, None).expect("a plan of today"));
    let unmet = |plan: &Plan| run(plan).expect("a plan of today").unmet;
    assert_eq!(unmet(&poisoned), Vec::<String>::new());

    let without_kind = Plan { faults: BTreeMap::new(), ..poisoned.clone() };
    assert_eq!(unmet(&without_kind), ["poison, which never fired"]);
    let strength = Strength { per_mille: 100, max_ms: 10 };
    let stall = Strike { fault: Fault::HeadStall, whom: String::new(), nth: 0, at_ms: Some(19_000), length_ms: 1 };
    let faults = [(Fault::HeadStall, strength), (Fault::StoreLoss, strength)].into();
    let never = Plan { faults, strikes: Some(vec![stall]), ..calm };
    assert_eq!(unmet(&never), ["head-stall, which never fired", "store-loss, which never fired"]);
    let kept = run_kept(&never, None).expect("a plan of today");
    let written = concrete(&never, &kept);
    assert!(written.faults.is_empty() && written.strikes.is_some_and(|strikes| strikes.is_empty()));
}

#[test]
fn pictures_need_nothing_from_elsewhere_and_show_the_fault() {
    let (shrunk, cause) = least(Bug::PublishAndForget, Model::SqsFifo);
    assert!(shrunk.needs().starts_with("needs: publish-"), "{}", shrunk.needs());
    let report = run_kept(&shrunk.plan, Some(Bug::PublishAndForget)).expect("a plan of today");
    let page = timeline("a <title>", &shrunk.needs(), &cause, &report.chronicle);
    assert!(page.contains("<h1>a &lt;title&gt;</h1>") && page.ends_with("</html>\n"));
    assert!(!["src=", "href=", "url(", "@import"].iter().any(|word| page.contains(word)), "nothing is fetched");
    assert_eq!(page.matches("<tr class=fault>").count(), 1);
    assert_eq!(page.matches("<tr class=").count(), report.chronicle.len(), "a row for everything");
    let diagram = sequence(&cause);
    assert!(diagram.starts_with("sequenceDiagram\n") && diagram.contains("⚡ publish-"), "{diagram}");
}

fn simulator(directory: &std::path::Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_simulator"));
    command.current_dir(directory).args(arguments).output().expect("it starts")
}

#[test]
fn a_failed_run_leaves_the_least_plan_its_story_and_its_pictures() {
    let directory = tempfile::tempdir().unwrap();
    let run =
        ["run", "--seeds", "1..20", "--orders", "3", "--broker", "sqs", "--bug", "no-dead-letter", "--save", "p.json"];
    let output = simulator(directory.path(), &run);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    for part in ["needs: ", "everything passes", "dead letters accounted for", "simulator replay p.json"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    for file in ["p.json", "p.html", "p.mmd"] {
        assert!(directory.path().join(file).exists(), "{file}");
    }
    let replayed = simulator(directory.path(), &["replay", "p.json"]);
    let said = String::from_utf8_lossy(&replayed.stdout).into_owned();
    assert_eq!(replayed.status.code(), Some(1), "{said}");
    assert!(said.contains("= dead letters accounted for"), "{said}");

    // The same fault of a message that never was: no run shows what this plan says.
    let path = directory.path().join("p.json");
    let mut kept = KeptPlan::read(&path).unwrap();
    kept.hash = None;
    let strikes = kept.plan.strikes.as_mut().expect("it is written down");
    let mut other = strikes[0].clone();
    (other.fault, other.whom, other.at_ms) = (Fault::PublishLost, "message 99 of order 1".to_owned(), None);
    strikes.push(other);
    kept.write(&path).unwrap();
    let stale = simulator(directory.path(), &["replay", "p.json"]);
    let said = String::from_utf8_lossy(&stale.stderr).into_owned();
    assert_eq!(stale.status.code(), Some(3), "{said}");
    assert!(said.contains("stale plan") && said.contains("message 99 of order 1"), "{said}");
    fs::remove_file(path).unwrap();
    assert_eq!(simulator(directory.path(), &["replay", "p.json"]).status.code(), Some(2), "no such file is usage");
}
