//! Every need with its answer. The texts say what a reader can do about it.

use std::time::Duration;

use super::plan::{Plan, longest};
use super::{Agreement, Answer, Contract, Term};
use crate::Capability;
use crate::capability::{Counting, LeaseTerms, Order};
use crate::emulation::{Emulation, dead_letters, delay};

pub(super) fn negotiate(contract: &Contract, bus: &Capability) -> Agreement {
    let plan = Plan::of(contract, bus);
    let mut terms = Vec::new();
    let mut answer = |need: String, answer: Answer| terms.push(Term { need, answer });
    answer(
        format!("accepted messages survive: {}", contract.durability),
        native_if(bus.durability >= contract.durability, || {
            format!("this bus is {}; choose a durable one or give it a journal", bus.durability)
        }),
    );
    answer(
        format!("reach: {}", contract.reach),
        native_if(bus.reach >= contract.reach, || {
            "this bus cannot leave its process; choose sqs://, amqp:// or kafka://".to_owned()
        }),
    );
    if contract.order_per_key {
        answer("order per key".to_owned(), order(bus));
    }
    if !contract.delay.is_zero() {
        answer(format!("publish delayed by {:?}", contract.delay), delayed(contract.delay, bus, &plan));
    }
    if !contract.nack_delay.is_zero() {
        answer(format!("retry delayed by {:?}", contract.nack_delay), nack_delayed(contract, bus, &plan));
    }
    if !contract.handler_time.is_zero() {
        answer(format!("handlers that run for {:?}", contract.handler_time), held(contract.handler_time, bus.lease));
    }
    if contract.message_bytes > 0 {
        answer(format!("messages of {} bytes", contract.message_bytes), sized(contract.message_bytes, bus, &plan));
    }
    if let Some(attempts) = contract.dead_letter_after {
        answer(format!("dead letter after {attempts} attempts"), dead_lettered(bus));
    }
    if contract.groups {
        answer(
            "several groups on one destination".to_owned(),
            native_if(bus.groups, || {
                "this bus gives each message to one group only; declare a destination per group and publish to each"
                    .to_owned()
            }),
        );
    }
    if contract.settle_confirmed {
        answer(
            "settlements are answered".to_owned(),
            native_if(bus.settle_confirmed, || {
                "this protocol does not answer an ack; make the effect repeatable, as behind an inbox".to_owned()
            }),
        );
    }
    if contract.depth > Counting::None {
        answer(format!("depth is {}", contract.depth), counted(contract.depth, bus, &plan));
    }
    if contract.purge {
        answer(
            "subscriptions can be purged".to_owned(),
            native_if(bus.purge, || "this bus does not purge; receive and ack what is not wanted".to_owned()),
        );
    }
    Agreement { terms, emulations: plan.emulations }
}

fn order(bus: &Capability) -> Answer {
    match bus.order {
        Order::PerKey => Answer::Native,
        Order::None => Answer::Emulated {
            how: "lanes in the pipeline keep it within one consumer".to_owned(),
            cost: "a second consumer of the group, a nack or an expired lease can break it".to_owned(),
        },
    }
}

fn delayed(needed: Duration, bus: &Capability, plan: &Plan) -> Answer {
    let native = longest(bus.delay_max);
    if native >= needed {
        Answer::Native
    } else if plan.has(|emulation| matches!(emulation, Emulation::Delay { .. })) {
        let hop_count = needed.as_nanos().div_ceil(native.as_nanos().max(1)) - 1;
        Answer::Emulated {
            how: format!("published again every {native:?} until it is due"),
            cost: format!(
                "up to {hop_count} more publishes, receives and acks per message and group; every consumer needs it; \
                 clocks must agree; duplicates after a crash; {} bytes less per message",
                delay::HEADER_BYTES
            ),
        }
    } else {
        let why = "this bus cannot delay; keep the message in the outbox or in your store until it is due";
        Answer::Refused { why: why.to_owned() }
    }
}

fn nack_delayed(contract: &Contract, bus: &Capability, plan: &Plan) -> Answer {
    let native = longest(bus.nack_delay_max);
    if native >= contract.nack_delay {
        return Answer::Native;
    }
    if plan.has(|emulation| matches!(emulation, Emulation::NackDelay { .. })) {
        let extensions = if bus.lease.duration.is_some() && bus.lease.extendable { "lease extensions; " } else { "" };
        let crash = if bus.lease.duration.is_none() { " or its process dies" } else { "" };
        return Answer::Emulated {
            how: "held in this process on its lease until it is due".to_owned(),
            cost: format!(
                "{extensions}it counts against the prefetch, with what waits behind it of its key; it comes early when \
                 its receiver is closed{crash}"
            ),
        };
    }
    let offered = longest(Emulation::NackDelay { max: contract.nack_delay }.capability(bus).nack_delay_max);
    let why = format!(
        "this bus delays a retry by {native:?}, and held on its lease it could be {offered:?} with as much for the \
         handler; use shorter retry delays or handlers, or longer leases"
    );
    Answer::Refused { why }
}

fn held(needed: Duration, lease: LeaseTerms) -> Answer {
    let why = match lease {
        LeaseTerms { total_max: Some(max), .. } if max < needed => {
            format!(
                "a delivery is delivered again after {max:?} whatever its handler does; split the work into messages"
            )
        }
        LeaseTerms { duration: Some(lease), extendable: true, .. } if lease < needed => {
            return Answer::Emulated {
                how: "the pipeline extends leases while handlers run".to_owned(),
                cost: format!("a call for each batch of leases every {:?}", lease / 3),
            };
        }
        LeaseTerms { duration: Some(lease), extendable: false, .. } if lease < needed => format!(
            "a lease of {lease:?} is not extended: the message would be delivered again while its handler runs; set \
             longer leases at the broker, or split the work into messages"
        ),
        LeaseTerms { .. } => return Answer::Native,
    };
    Answer::Refused { why }
}

fn sized(needed: usize, bus: &Capability, plan: &Plan) -> Answer {
    let fits = |max: Option<usize>| max.is_none_or(|max| max >= needed);
    native_if(fits(plan.capability.message_bytes_max), || {
        let max = bus.message_bytes_max.unwrap_or_default();
        let taken = max - plan.capability.message_bytes_max.unwrap_or_default();
        let less = if taken > 0 { format!(" less {taken} for the headers of what is emulated") } else { String::new() };
        format!(
            "the limit is {max} bytes{less}; put a claim check in front of the bus (bus::layer::ClaimCheck): a store \
             takes the body and a reference travels"
        )
    })
}

fn dead_lettered(bus: &Capability) -> Answer {
    if bus.dead_letters {
        return Answer::Native;
    }
    Answer::Emulated {
        how: "a reject publishes a copy to <destination>-dlq and removes the original once that is accepted".to_owned(),
        cost: format!(
            "one more publish per reject; a dead letter may be there twice after a crash; {} bytes less per message",
            dead_letters::PROVENANCE_BYTES
        ),
    }
}

fn counted(needed: Counting, bus: &Capability, plan: &Plan) -> Answer {
    native_if(plan.capability.depth >= needed, || {
        let emulated = if bus.depth >= needed { ", with the delays that are emulated on it" } else { "" };
        format!("this bus counts: {}{emulated}; count in your own store", plan.capability.depth)
    })
}

fn native_if(is_met: bool, why: impl FnOnce() -> String) -> Answer {
    if is_met { Answer::Native } else { Answer::Refused { why: why() } }
}
