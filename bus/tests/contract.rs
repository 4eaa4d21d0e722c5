//! What a contract is answered, and that an agreement that is applied keeps it.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bus::capability::{Counting, Durability, LeaseTerms, Order, Reach};
use bus::contract::Answer;
use bus::emulation::Emulation;
use bus::layer::{Layer, LayerExt};
use bus::{Bus, Capability, Contract, ErrorKind, Seams};
use bus_memory::{MemoryBus, MemoryOptions};
use proptest::prelude::*;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

/// A bus that can do everything.
fn strong() -> Capability {
    Capability {
        durability: Durability::Replicated,
        reach: Reach::Network,
        order: Order::PerKey,
        delay_max: Some(60 * MINUTE),
        nack_delay_max: Some(60 * MINUTE),
        lease: LeaseTerms { duration: Some(30 * SECOND), extendable: true, total_max: Some(720 * MINUTE) },
        receive_count: true,
        release_uncounted: true,
        dead_letters: true,
        groups: true,
        message_bytes_max: Some(10_000),
        publish_atomic: true,
        settle_confirmed: true,
        depth: Counting::Exact,
        purge: true,
    }
}

fn lease(duration: Option<Duration>, extendable: bool, total_max: Option<Duration>) -> Capability {
    Capability { lease: LeaseTerms { duration, extendable, total_max }, ..strong() }
}

/// Everything a bus can be asked for.
fn demanding() -> Contract {
    Contract {
        durability: Durability::Replicated,
        reach: Reach::Network,
        order_per_key: true,
        delay: 60 * MINUTE,
        nack_delay: 60 * MINUTE,
        handler_time: 10 * SECOND,
        message_bytes: 10_000,
        dead_letter_after: Some(5),
        groups: true,
        settle_confirmed: true,
        depth: Counting::Exact,
        purge: true,
    }
}

fn kind(answer: &Answer) -> &'static str {
    match answer {
        Answer::Native => "native",
        Answer::Emulated { .. } => "emulated",
        Answer::Refused { .. } => "refused",
    }
}

#[test]
fn a_strong_bus_does_everything_itself_and_needs_nothing_around_it() {
    let agreement = demanding().negotiate(&strong());
    assert_eq!(agreement.terms.len(), 12, "one for each need");
    assert!(agreement.terms.iter().all(|term| term.answer == Answer::Native), "{agreement:?}");
    assert!(agreement.emulations.is_empty());
}

#[test]
fn a_contract_that_needs_nothing_is_met_by_the_weakest_bus() {
    let weakest = Capability {
        durability: Durability::Volatile,
        reach: Reach::Process,
        order: Order::None,
        delay_max: None,
        nack_delay_max: None,
        lease: LeaseTerms { duration: Some(SECOND), extendable: false, total_max: Some(SECOND) },
        receive_count: false,
        release_uncounted: false,
        dead_letters: false,
        groups: false,
        message_bytes_max: Some(1),
        publish_atomic: false,
        settle_confirmed: false,
        depth: Counting::None,
        purge: false,
    };
    let agreement = Contract::default().negotiate(&weakest);
    agreement.require().expect("nothing is needed");
    assert!(agreement.emulations.is_empty());
}

/// Asserts that `bus`, which is weaker than [`strong`] in one respect, answers the demanding contract
/// with `expected` for the need that begins with `need`, and natively for every other.
fn check(bus: &Capability, need: &str, expected: &str) {
    // Exact depth and the last bytes would be taken by emulations.
    let contract = Contract { message_bytes: 9_000, depth: Counting::Approximate, ..demanding() };
    let agreement = contract.negotiate(bus);
    for term in &agreement.terms {
        let expected = if term.need.starts_with(need) { expected } else { "native" };
        assert_eq!(kind(&term.answer), expected, "{term}");
    }
    assert!(agreement.terms.iter().any(|term| term.need.starts_with(need)), "{need}: {agreement:?}");
    assert_eq!(agreement.require().is_err(), expected == "refused");
}

#[test]
fn each_capability_that_is_missing_changes_one_answer() {
    check(&Capability { durability: Durability::Disk, ..strong() }, "accepted messages survive", "refused");
    check(&Capability { reach: Reach::Process, ..strong() }, "reach", "refused");
    check(&Capability { order: Order::None, ..strong() }, "order per key", "emulated");
    check(&Capability { delay_max: Some(MINUTE), ..strong() }, "publish delayed", "emulated");
    check(&Capability { delay_max: Some(Duration::ZERO), ..strong() }, "publish delayed", "refused");
    check(&Capability { delay_max: None, ..strong() }, "publish delayed", "refused");
    check(&Capability { nack_delay_max: Some(MINUTE), ..strong() }, "retry delayed", "emulated");
    check(&Capability { nack_delay_max: None, ..strong() }, "retry delayed", "emulated");
    check(&lease(Some(9 * SECOND), true, None), "handlers that run", "emulated");
    check(&lease(Some(9 * SECOND), false, None), "handlers that run", "refused");
    check(&lease(Some(10 * SECOND), false, None), "handlers that run", "native");
    check(&lease(Some(5 * SECOND), true, Some(9 * SECOND)), "handlers that run", "refused");
    check(&lease(None, false, None), "handlers that run", "native");
    check(&lease(None, false, Some(9 * SECOND)), "handlers that run", "refused");
    check(&Capability { message_bytes_max: Some(8_999), ..strong() }, "messages of", "refused");
    check(&Capability { message_bytes_max: None, ..strong() }, "messages of", "native");
    check(&Capability { dead_letters: false, ..strong() }, "dead letter after", "emulated");
    check(&Capability { groups: false, ..strong() }, "several groups", "refused");
    check(&Capability { settle_confirmed: false, ..strong() }, "settlements", "refused");
    check(&Capability { depth: Counting::None, ..strong() }, "depth", "refused");
    check(&Capability { purge: false, ..strong() }, "subscriptions can be purged", "refused");
}

#[test]
fn a_retry_delay_is_held_on_a_lease_that_lasts_for_the_handler_too() {
    let check = |lease: LeaseTerms, nack_delay: Duration, handler_time: Duration, expected: &str| {
        let bus = Capability { nack_delay_max: None, lease, ..strong() };
        let contract = Contract { nack_delay, handler_time, ..Contract::default() };
        let agreement = contract.negotiate(&bus);
        let term = agreement.terms.iter().find(|term| term.need.starts_with("retry")).expect("it is needed");
        assert_eq!(kind(&term.answer), expected, "{lease:?}, {nack_delay:?} after {handler_time:?}: {term}");
        assert_eq!(agreement.emulations.is_empty(), expected == "refused");
    };
    let fixed = LeaseTerms { duration: Some(30 * SECOND), extendable: false, total_max: None };
    check(fixed, 15 * SECOND, 15 * SECOND, "emulated");
    check(fixed, 16 * SECOND, SECOND, "refused");
    check(fixed, 15 * SECOND, 16 * SECOND, "refused");
    let capped = LeaseTerms { extendable: true, total_max: Some(40 * SECOND), ..fixed };
    check(capped, 20 * SECOND, 20 * SECOND, "emulated");
    check(capped, 21 * SECOND, SECOND, "refused");
    check(capped, 20 * SECOND, 21 * SECOND, "refused");
    let endless = LeaseTerms { total_max: None, ..capped };
    check(endless, 1_000 * MINUTE, 1_000 * MINUTE, "emulated");
    check(LeaseTerms { duration: None, ..fixed }, 1_000 * MINUTE, 1_000 * MINUTE, "emulated");
}

#[test]
fn what_an_emulation_takes_is_taken_into_account() {
    let bus = Capability { dead_letters: false, ..strong() };
    let needs = |message_bytes| Contract { message_bytes, dead_letter_after: Some(1), ..Contract::default() };
    needs(10_000 - bus::emulation::dead_letters::PROVENANCE_BYTES).negotiate(&bus).require().expect("it fits");
    let refused = needs(10_000).negotiate(&bus).require().expect_err("no room for the headers").to_string();
    for part in ["10000 bytes", "512", "ClaimCheck"] {
        assert!(refused.contains(part), "{part} is not in {refused}");
    }
    let bus = Capability { nack_delay_max: None, ..strong() };
    let needs = Contract { nack_delay: MINUTE, depth: Counting::Exact, ..Contract::default() };
    let refused = needs.negotiate(&bus).require().expect_err("what others hold is not counted exactly").to_string();
    assert!(refused.contains("approximate"), "{refused}");
}

#[test]
fn every_answer_but_native_says_what_it_means() {
    let weak = Capability { delay_max: Some(MINUTE), dead_letters: false, nack_delay_max: None, ..strong() };
    for term in demanding().negotiate(&weak).terms {
        match term.answer {
            Answer::Native => {}
            Answer::Emulated { how, cost } => assert!(!how.is_empty() && !cost.is_empty(), "{}", term.need),
            Answer::Refused { why } => assert!(!why.is_empty(), "{}", term.need),
        }
    }
}

/// Says of a bus in memory whatever a test wants it to.
#[derive(Debug)]
struct Claims(Capability);

#[async_trait]
impl Layer for Claims {
    fn capability(&self, _: &Capability) -> Capability {
        self.0.clone()
    }
}

fn claiming(capability: Capability, seams: &Seams) -> Arc<dyn Bus> {
    let bus: Arc<dyn Bus> = MemoryBus::new(seams.clone(), MemoryOptions::default());
    bus.layer(Claims(capability))
}

#[tokio::test(start_paused = true)]
async fn emulations_are_put_on_in_their_order_and_no_other() {
    let seams = Seams::system();
    let weak = Capability { delay_max: Some(MINUTE), dead_letters: false, nack_delay_max: None, ..strong() };
    let needs = Contract { delay: 60 * MINUTE, nack_delay: MINUTE, dead_letter_after: Some(5), ..Contract::default() };
    let agreement = needs.negotiate(&weak);
    let expected =
        [Emulation::Delay { max: 60 * MINUTE }, Emulation::NackDelay { max: MINUTE }, Emulation::DeadLetters];
    assert_eq!(agreement.emulations, expected);
    let applied = agreement.apply(claiming(weak.clone(), &seams), &seams).expect("nothing is refused");
    let less = bus::emulation::delay::HEADER_BYTES + bus::emulation::dead_letters::PROVENANCE_BYTES;
    let expected = Capability {
        delay_max: Some(60 * MINUTE),
        nack_delay_max: Some(MINUTE),
        dead_letters: true,
        depth: Counting::Approximate,
        message_bytes_max: Some(10_000 - less),
        ..weak.clone()
    };
    assert_eq!(*applied.capability(), expected);

    let nothing = Contract::default().negotiate(&weak).apply(claiming(weak.clone(), &seams), &seams);
    assert_eq!(*nothing.expect("nothing is needed").capability(), weak, "it stays as it is");
}

#[tokio::test(start_paused = true)]
async fn an_agreement_with_a_refusal_is_not_applied() {
    let seams = Seams::system();
    let weak = Capability { purge: false, dead_letters: false, ..strong() };
    let needs = Contract { purge: true, dead_letter_after: Some(5), ..Contract::default() };
    let refused = needs.negotiate(&weak).apply(claiming(weak, &seams), &seams).expect_err("purge is refused");
    assert_eq!(refused.kind(), ErrorKind::Unsupported);
    assert!(refused.to_string().contains("does not purge"), "{refused}");
}

fn some_time() -> impl Strategy<Value = Duration> {
    prop_oneof![Just(Duration::ZERO), Just(SECOND), Just(30 * SECOND), (0..100_000_u64).prop_map(Duration::from_secs)]
}

fn counting() -> impl Strategy<Value = Counting> {
    prop_oneof![Just(Counting::None), Just(Counting::Approximate), Just(Counting::Exact)]
}

prop_compose! {
    fn any_capability()(
        durability in prop_oneof![Just(Durability::Volatile), Just(Durability::Disk), Just(Durability::Replicated)],
        reach in prop_oneof![Just(Reach::Process), Just(Reach::Network)],
        order in prop_oneof![Just(Order::None), Just(Order::PerKey)],
        delay_max in proptest::option::of(some_time()),
        nack_delay_max in proptest::option::of(some_time()),
        (duration, extendable, total_max) in
            (proptest::option::of(some_time()), any::<bool>(), proptest::option::of(some_time())),
        (receive_count, dead_letters, groups) in any::<(bool, bool, bool)>(),
        message_bytes_max in proptest::option::of(0..20_000_usize),
        (publish_atomic, settle_confirmed, purge) in any::<(bool, bool, bool)>(),
        depth in counting(),
    ) -> Capability {
        let lease = LeaseTerms { duration, extendable, total_max };
        Capability {
            durability, reach, order, delay_max, nack_delay_max, lease, receive_count, release_uncounted: receive_count, dead_letters, groups,
            message_bytes_max, publish_atomic, settle_confirmed, depth, purge,
        }
    }
}

prop_compose! {
    /// Often asks for nothing beyond emulations, so that many agreements can be applied.
    fn any_contract()(
        is_modest in prop::bool::weighted(0.8),
        order_per_key in any::<bool>(),
        delay in some_time(),
        nack_delay in some_time(),
        handler_time in some_time(),
        message_bytes in prop_oneof![Just(0_usize), 0..20_000_usize],
        dead_letter_after in proptest::option::of(1..9_u32),
        (groups, settle_confirmed, purge) in any::<(bool, bool, bool)>(),
        depth in counting(),
    ) -> Contract {
        let own = Contract { order_per_key, delay, nack_delay, message_bytes, dead_letter_after, ..Contract::default() };
        if is_modest { own } else { Contract { handler_time, groups, settle_confirmed, purge, depth, ..own } }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn an_applied_agreement_is_kept(bus in any_capability(), contract in any_contract()) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let _inside = runtime.enter();
        let seams = Seams::system();
        let agreement = contract.negotiate(&bus);
        let applied = agreement.apply(claiming(bus.clone(), &seams), &seams);
        prop_assert_eq!(applied.is_err(), agreement.refused().next().is_some());
        if let Ok(applied) = applied {
            let again = contract.negotiate(applied.capability());
            prop_assert!(again.require().is_ok(), "{:?} behind {:?}", again, agreement);
            prop_assert!(again.emulations.is_empty(), "nothing is put on twice: {:?}", again);
            prop_assert_eq!(bus.order, applied.capability().order);
        }
    }
}
