//! The examples run, and show what they say they show.
//!
//! Each is compiled into this test as a module whose `println!` goes into a transcript.

use std::cell::RefCell;

thread_local! {
    static TRANSCRIPT: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

/// Takes the place of the standard macro in the modules below.
macro_rules! println {
    ($($text:tt)*) => {
        crate::TRANSCRIPT.with_borrow_mut(|lines| lines.push(format!($($text)*)))
    };
}

#[path = "../examples/competing_consumers.rs"]
mod competing_consumers;
#[path = "../examples/custom_layer.rs"]
mod custom_layer;
#[path = "../examples/hello.rs"]
mod hello;
#[path = "../examples/outbox.rs"]
mod outbox;
#[path = "../examples/retry_and_dead_letter.rs"]
mod retry_and_dead_letter;

/// Runs an example's `main` on this thread and returns its lines.
fn transcript(main: fn() -> bus::Result<()>) -> Vec<String> {
    main().expect("an example ends well");
    TRANSCRIPT.take()
}

#[test]
fn hello_publishes_a_value_and_handles_it() {
    assert_eq!(transcript(hello::main), ["published: 2 × tea", "handled: 2 × tea, attempt 1"]);
}

#[test]
fn competing_consumers_share_the_work_and_keep_the_order_of_each_key() {
    let lines = transcript(competing_consumers::main);
    assert_eq!(lines[0], "published: 12 steps of 3 orders");
    for consumer in ["first consumer", "second consumer"] {
        assert!(lines.iter().any(|line| line.starts_with(consumer)), "{consumer} got nothing: {lines:#?}");
    }
    for order in ["ORD-1", "ORD-2", "ORD-3"] {
        let steps: Vec<&str> =
            lines.iter().filter_map(|line| line.split_once(&format!("{order}: "))).map(|(_, step)| step).collect();
        assert_eq!(steps, ["check stock", "take payment", "pack", "ship"], "{order}: {lines:#?}");
    }
    assert_eq!(lines.len(), 1 + 12, "each went to one of them: {lines:#?}");
}

#[test]
fn a_layer_and_a_middleware_of_ones_own_let_only_ours_pass() {
    let lines = transcript(custom_layer::main);
    assert_eq!(
        lines,
        ["turned away: a message of nobody", "turned away: a message of their shop", "handled: hello from us"]
    );
}

#[test]
fn a_relay_killed_at_the_worst_moment_sends_twice_and_the_effect_happens_once() {
    let lines = transcript(outbox::main);
    assert_eq!(
        lines,
        [
            "shop: order stored with its message, in one write",
            "relay: killed right after the bus accepted the message",
            "shop: 1 message still in the outbox",
            "relay: sent again; 0 messages in the outbox, 2 copies on the bus",
            "warehouse: 2 sold and the message marked, in one write",
            "warehouse: a copy came, and was recognized",
            "warehouse: 2 sold in all",
        ]
    );
}

#[test]
fn a_failing_order_gets_through_and_a_hopeless_one_is_kept_and_replayed() {
    let lines = transcript(retry_and_dead_letter::main);
    let of = |order: &str| lines.iter().filter(|line| line.starts_with(order)).cloned().collect::<Vec<_>>();
    assert_eq!(
        of("ORD-1"),
        [
            "ORD-1, attempt 1: the printer has no paper",
            "ORD-1, attempt 2: the printer has no paper",
            "ORD-1, attempt 3: processed",
        ]
    );
    assert_eq!(
        of("ORD-2"),
        [
            "ORD-2, attempt 1: no such product",
            "ORD-2, attempt 2: no such product",
            "ORD-2, attempt 3: no such product",
            "ORD-2, attempt 1: processed",
        ]
    );
    assert_eq!(
        lines[6..8],
        ["dead letter: attempt 3 of 3 failed: no such product", "the product is in the catalogue now: 1 replayed"]
    );
}
