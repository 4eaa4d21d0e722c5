//! Each model beside its broker, by capability, case and answer, from the records that the conformance suites
//! keep and check (`*.record`). What differs is listed here with its reason; what differs
//! and is not listed fails, and so does what is listed and differs no more.
//!
//! A record says what a bus claims, which cases have to pass, and what it answered to fixed questions; the suite
//! that keeps it passes those cases. So this shows that a model and its broker keep the same promises, each shown
//! by the same case, and give the same answers. It does not
//! show that they are equally fast, or that they do the same where the contract leaves them free: in which
//! order competing messages come, how long a restart takes, or how often what is out comes again.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use bus::conformance::Line;
use simulator::broker::Model;

/// Something of which a model and its broker do not say the same.
struct Difference {
    /// A field of the capabilities, a case, or a standing (`skipped: …`) of the broker or of the model.
    about: &'static str,
    why: &'static str,
}

const fn differs(about: &'static str, why: &'static str) -> Difference {
    Difference { about, why }
}

/// Of the suites' equipment, not of the brokers.
const EQUIPMENT: [Difference; 4] = [
    differs(
        "skipped: this harness has no hold on its broker",
        "outages are shown of a broker by its own tests, and in the simulator they are faults of a plan",
    ),
    differs("skipped: this harness has no secrets", "a model has no passwords"),
    differs("skipped: this harness counts no calls", "a model has no calls to count"),
    differs("skipped: nothing is undecodable on this bus", "a model carries messages, not bytes"),
];

struct Pair {
    model: Model,
    /// The record of the broker, from the root of the workspace.
    broker: &'static str,
    differences: &'static [&'static [Difference]],
}

const HOURS: Difference = differs(
    "extensions_end_at_the_cap_and_so_does_the_lease",
    "the cap is twelve hours, for which a test in real time does not wait",
);
const HALF_AN_HOUR: Difference = differs(
    "capability.lease",
    "RabbitMQ closes a channel that holds a delivery for half an hour, and no handler of a simulated run takes as long",
);

const STANDARD: &[Difference] = &[HOURS];

const LOCALSTACK: &str = "LocalStack shows a group whose message is in flight (localstack#12457); the model is of SQS, \
     which does not";

const FIFO: &[Difference] = &[
    HOURS,
    differs("a_key_keeps_its_order_when_its_holder_closes_and_another_goes_on", LOCALSTACK),
    differs("a_key_keeps_its_order_over_a_dropped_delivery", LOCALSTACK),
    differs("followers_in_hand_come_back_behind_their_head", LOCALSTACK),
];

const REPEATS: &str = "our backend commits what was settled beyond the prefix as metadata, so that it comes again after \
     a crash alone; the model repeats it whenever a partition moves, which is the harder world";

const KAFKA: [Difference; 5] = [
    differs("settling_out_of_order_consumes_exactly_what_was_acked", REPEATS),
    differs("a_replay_takes_what_its_filter_names_and_leaves_the_rest", REPEATS),
    differs("a_dead_letter_whose_origin_is_gone_stays_and_the_others_are_replayed", REPEATS),
    differs(
        "followers_in_hand_come_back_behind_their_head",
        "all receivers of one process are one member of our backend's group, and one each of the model's",
    ),
    differs(
        "a_drain_lets_what_started_finish_and_gives_the_rest_back_at_once_and_unburned",
        "the model moves a partition at once, a broker when the process that has it is done",
    ),
];

const MOCK: [Difference; 1] = [differs(
    "no_dead_letter_is_lost_wherever_its_replay_is_interrupted",
    "too slow on the mock cluster, and shown on Apache Kafka",
)];

const PAIRS: [Pair; 5] = [
    Pair { model: Model::Sqs, broker: "bus-sqs/tests/conformance/standard.record", differences: &[STANDARD] },
    Pair { model: Model::SqsFifo, broker: "bus-sqs/tests/conformance/fifo.record", differences: &[FIFO] },
    Pair {
        model: Model::RabbitMq,
        broker: "bus-amqp/tests/conformance/quorum.record",
        differences: &[&[HALF_AN_HOUR]],
    },
    Pair { model: Model::Kafka, broker: "bus-kafka/tests/conformance/kafka.record", differences: &[&KAFKA] },
    Pair { model: Model::Kafka, broker: "bus-kafka/tests/conformance/mock.record", differences: &[&KAFKA, &MOCK] },
];

fn record(path: &str) -> Vec<Line> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path);
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    Line::all(&text)
}

fn model_record(model: Model) -> Vec<Line> {
    record(&format!("simulator/tests/conformance/{}.record", model.name()))
}

/// A deviation of the same case counts as the same, whatever words tell of it.
fn kind(standing: &str) -> &str {
    if standing.starts_with("deviation: ") { "deviation" } else { standing }
}

/// What differs between two records and is not listed, and what is listed and does not differ.
fn complaints(model: &[Line], broker: &[Line], listed: &[&Difference]) -> Vec<String> {
    let mut used = BTreeSet::new();
    let mut found = Vec::new();
    let abouts = |lines: &[Line]| lines.iter().map(|line| line.about.clone()).collect::<BTreeSet<_>>();
    for about in abouts(model).union(&abouts(broker)) {
        let standing = |lines: &[Line]| {
            lines
                .iter()
                .find(|line| line.about == *about)
                .map_or_else(|| "missing".to_owned(), |line| line.standing.clone())
        };
        let (of_model, of_broker) = (standing(model), standing(broker));
        if kind(&of_model) == kind(&of_broker) {
            continue;
        }
        let names = [about.as_str(), of_model.as_str(), of_broker.as_str()];
        match listed.iter().find(|difference| names.contains(&difference.about)) {
            Some(difference) => {
                used.insert(difference.about);
            }
            None => found.push(format!("{about}: the model says `{of_model}`, the broker `{of_broker}`")),
        }
    }
    let unused = listed.iter().filter(|difference| !used.contains(difference.about));
    found.extend(
        unused.map(|difference| format!("`{}` is listed and does not differ ({})", difference.about, difference.why)),
    );
    found
}

#[test]
fn each_model_says_and_shows_what_its_broker_does_but_for_what_is_listed() {
    let mut found = Vec::new();
    for Pair { model, broker, differences } in &PAIRS {
        let (of_model, of_broker) = (model_record(*model), record(broker));
        assert!(of_model.len() > 100 && of_broker.len() > 100, "a record has a line for every case");
        // Equipment differs where one of the two has it.
        let equipment = EQUIPMENT.iter().filter(|difference| {
            let lacks = |lines: &[Line]| lines.iter().any(|line| line.standing == difference.about);
            lacks(&of_model) != lacks(&of_broker)
        });
        let listed: Vec<&Difference> = differences.iter().copied().flatten().chain(equipment).collect();
        let complaints = complaints(&of_model, &of_broker, &listed);
        found.extend(complaints.into_iter().map(|complaint| format!("{} and {broker}: {complaint}", model.name())));
    }
    assert!(found.is_empty(), "\n{}", found.join("\n"));
}

#[test]
fn a_difference_that_is_not_listed_and_a_listed_one_that_is_none_are_told() {
    let lines = |standing: &str| vec![Line { about: "a_case".to_owned(), standing: standing.to_owned() }];
    let listed = differs("a_case", "because");
    assert_eq!(complaints(&lines("shown"), &lines("shown"), &[]), Vec::<String>::new());
    assert_eq!(complaints(&lines("shown"), &lines("deviation: x"), &[&listed]), Vec::<String>::new());
    assert_eq!(complaints(&lines("deviation: y"), &lines("deviation: x"), &[]), Vec::<String>::new());
    assert_eq!(complaints(&lines("shown"), &lines("deviation: x"), &[]).len(), 1);
    assert_eq!(complaints(&lines("shown"), &lines("shown"), &[&listed]).len(), 1);
    assert_eq!(complaints(&lines("shown"), &[], &[]).len(), 1, "a case that one of them does not know");
}
