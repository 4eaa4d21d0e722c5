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
    /// A field of the capabilities, a case, or a question.
    about: &'static str,
    /// What the record of the model says, as [`kind`] puts it.
    of_model: &'static str,
    /// What that of the broker says.
    of_broker: &'static str,
    why: &'static str,
}

const SHOWN: &str = "shown";
const DEVIATION: &str = "deviation";
const LEFT_OUT: &str = "left out";

/// The broker's suite shows it, and the model's is not equipped for it.
const fn unequipped(about: &'static str, of_model: &'static str, why: &'static str) -> Difference {
    Difference { about, of_model, of_broker: SHOWN, why }
}

/// The broker deviates, and the model does not.
const fn better(about: &'static str, why: &'static str) -> Difference {
    Difference { about, of_model: SHOWN, of_broker: DEVIATION, why }
}

/// The model deviates, and the broker does not.
const fn harder(about: &'static str, why: &'static str) -> Difference {
    Difference { about, of_model: DEVIATION, of_broker: SHOWN, why }
}

struct Pair {
    model: Model,
    /// The record of the broker, from the root of the workspace.
    broker: &'static str,
    differences: &'static [&'static [Difference]],
}

const NO_HOLD: &str = "skipped: this harness has no hold on its broker";
const OUTAGES: &str = "outages are shown of a broker by its own tests, and in the simulator they are faults of a plan";
const NO_SECRETS: &str = "skipped: this harness has no secrets";
const PASSWORDS: &str = "a model has no passwords";

const CALLS: Difference = unequipped(
    "a_thousand_messages_cost_no_more_calls_than_stated",
    "skipped: this harness counts no calls",
    "a model has no calls to count",
);
const UNDECODABLE: Difference = unequipped(
    "an_undecodable_message_goes_to_the_dead_letters_with_its_bytes_and_the_next_one_flows",
    "skipped: nothing is undecodable on this bus",
    "a model carries messages, not bytes",
);
const HOURS: Difference = Difference {
    about: "extensions_end_at_the_cap_and_so_does_the_lease",
    of_model: SHOWN,
    of_broker: "skipped: lease.total_max is none, or too long to wait for",
    why: "the cap is twelve hours, for which a test in real time does not wait",
};

const STANDARD: &[Difference] = &[HOURS, CALLS];

const LOCALSTACK: &str = "LocalStack shows a group whose message is in flight (localstack#12457); the model is of SQS, \
     which does not";

const FIFO: &[Difference] = &[
    HOURS,
    CALLS,
    better("a_key_keeps_its_order_when_its_holder_closes_and_another_goes_on", LOCALSTACK),
    better("a_key_keeps_its_order_over_a_dropped_delivery", LOCALSTACK),
    better("followers_in_hand_come_back_behind_their_head", LOCALSTACK),
];

const QUORUM: &[Difference] = &[
    Difference {
        about: "capability.lease",
        of_model: "None extendable false at most None",
        of_broker: "None extendable false at most Some(1800s)",
        why: "RabbitMQ closes a channel that holds a delivery for half an hour, and no handler of a simulated run \
              takes as long",
    },
    UNDECODABLE,
    unequipped("secrets_appear_in_no_debug_no_error_and_no_log_line", NO_SECRETS, PASSWORDS),
    Difference {
        about: "secrets_appear_in_nothing_that_an_outage_causes",
        of_model: NO_SECRETS,
        of_broker: NO_HOLD,
        why: "neither suite is equipped for it, the one for want of passwords and the other of outages",
    },
];

const REPEATS: &str = "our backend commits what was settled beyond the prefix as metadata, so that it comes again after \
     a crash alone; the model repeats it whenever a partition moves, which is the harder world";

const KAFKA: [Difference; 6] = [
    UNDECODABLE,
    harder("settling_out_of_order_consumes_exactly_what_was_acked", REPEATS),
    harder("a_replay_takes_what_its_filter_names_and_leaves_the_rest", REPEATS),
    harder("a_dead_letter_whose_origin_is_gone_stays_and_the_others_are_replayed", REPEATS),
    harder(
        "followers_in_hand_come_back_behind_their_head",
        "all receivers of one process are one member of our backend's group, and one each of the model's",
    ),
    better(
        "a_drain_lets_what_started_finish_and_gives_the_rest_back_at_once_and_unburned",
        "the model moves a partition at once, a broker when the process that has it is done",
    ),
];

const MOCK: [Difference; 6] = [
    Difference {
        about: "no_dead_letter_is_lost_wherever_its_replay_is_interrupted",
        of_model: SHOWN,
        of_broker: LEFT_OUT,
        why: "too slow on the mock cluster, and shown on Apache Kafka",
    },
    unequipped("a_broker_killed_and_restarted_twice_under_load_loses_nothing_it_accepted", NO_HOLD, OUTAGES),
    unequipped("a_stall_under_load_loses_nothing_that_was_accepted", NO_HOLD, OUTAGES),
    unequipped("connections_cut_twice_under_load_lose_nothing_that_was_accepted", NO_HOLD, OUTAGES),
    unequipped("settlements_across_a_cut_are_answered_truly", NO_HOLD, OUTAGES),
    unequipped("the_bus_recovers_by_itself_and_an_open_receiver_goes_on", NO_HOLD, OUTAGES),
];

const PAIRS: [Pair; 5] = [
    Pair { model: Model::Sqs, broker: "bus-sqs/tests/conformance/standard.record", differences: &[STANDARD] },
    Pair { model: Model::SqsFifo, broker: "bus-sqs/tests/conformance/fifo.record", differences: &[FIFO] },
    Pair { model: Model::RabbitMq, broker: "bus-amqp/tests/conformance/quorum.record", differences: &[QUORUM] },
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

/// A standing without its words where another reason would be as good: a deviation is one whatever tells of it.
fn kind(standing: &str) -> &str {
    let is_kind = |kind: &&str| standing.strip_prefix(*kind).is_some_and(|rest| rest.starts_with(": "));
    [DEVIATION, LEFT_OUT].into_iter().find(is_kind).unwrap_or(standing)
}

/// What differs between two records and is not listed, and what is listed and does not differ.
fn complaints(model: &[Line], broker: &[Line], listed: &[&Difference]) -> Vec<String> {
    let mut used = BTreeSet::new();
    let mut found = Vec::new();
    let abouts = |lines: &[Line]| lines.iter().map(|line| line.about.clone()).collect::<BTreeSet<_>>();
    for about in abouts(model).union(&abouts(broker)) {
        let standing = |lines: &[Line]| {
            let line = lines.iter().find(|line| line.about == *about);
            line.map_or_else(|| "missing".to_owned(), |line| kind(&line.standing).to_owned())
        };
        let (of_model, of_broker) = (standing(model), standing(broker));
        if of_model == of_broker {
            continue;
        }
        let is_listed = |difference: &&&Difference| {
            let Difference { about: own, of_model: model, of_broker: broker, .. } = difference;
            (*own, *model, *broker) == (about, &of_model, &of_broker)
        };
        match listed.iter().find(is_listed) {
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
        let listed: Vec<&Difference> = differences.iter().copied().flatten().collect();
        let complaints = complaints(&of_model, &of_broker, &listed);
        found.extend(complaints.into_iter().map(|complaint| format!("{} and {broker}: {complaint}", model.name())));
    }
    assert!(found.is_empty(), "\n{}", found.join("\n"));
}

#[test]
fn a_difference_that_is_not_listed_and_a_listed_one_that_is_none_are_told() {
    let lines = |standing: &str| vec![Line { about: "a_case".to_owned(), standing: standing.to_owned() }];
    let (none, listed) = ([], better("a_case", "because"));
    let count =
        |model: &str, broker: &str, listed: &[&Difference]| complaints(&lines(model), &lines(broker), listed).len();
    assert_eq!(count("shown", "shown", &none), 0);
    assert_eq!(count("shown", "deviation: x", &[&listed]), 0);
    assert_eq!(count("deviation: y", "deviation: x", &none), 0);
    assert_eq!(count("shown", "deviation: x", &none), 1, "not listed");
    assert_eq!(count("shown", "shown", &[&listed]), 1, "listed, and no difference");
    assert_eq!(count("shown", "skipped: x", &[&listed]), 2, "listed is another");
    let lacking = unequipped("a_case", "skipped: x", "because");
    assert_eq!(count("skipped: x", "shown", &[&lacking]), 0);
    assert_eq!(count("skipped: x", "deviation: y", &[&lacking]), 2, "want of equipment excuses nothing of the broker");
    assert_eq!(complaints(&lines("shown"), &[], &none).len(), 1, "a case that one of them does not know");
}
