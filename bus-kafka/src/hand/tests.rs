//! The rules of [`Hand`], one by one.

use std::time::Duration;

use super::*;
use crate::record::Copier;

const ONE: u64 = 1;
const TWO: u64 = 2;

fn at(second: u64) -> Moment {
    Moment::from_origin(Duration::from_secs(second))
}

/// Bodies are names: the letter is the key, `-` means none. All in partition 0, at offsets from 0.
fn hand_of(names: &[&str]) -> Hand {
    let mut hand = Hand::default();
    hand.join(ONE, 100);
    hand.join(TWO, 100);
    hand.assign(of(0), Window::default());
    for (offset, name) in (0..).zip(names) {
        add(&mut hand, (of(0), offset), name);
    }
    hand
}

const fn of(number: i32) -> Partition {
    Partition { topic: 0, number }
}

fn record(name: &str) -> Record {
    let key = if name.starts_with('-') { "" } else { &name[..1] };
    Copier::default().pack(key.as_bytes(), &[], true, name.as_bytes())
}

fn add(hand: &mut Hand, place: Place, name: &str) {
    hand.add(place, record(name), When::Now, at(0));
}

fn names(out: &[Out]) -> Vec<String> {
    out.iter().map(|out| String::from_utf8_lossy(&out.record.body()).into_owned()).collect()
}

fn all(hand: &mut Hand, reader: u64, second: u64) -> Vec<Out> {
    hand.hand_out(reader, 100, at(second))
}

#[test]
fn a_key_in_one_hand_is_kept_from_the_others() {
    let mut hand = hand_of(&["a1", "a2", "b1"]);
    let head = hand.hand_out(ONE, 1, at(0));
    assert_eq!(names(&all(&mut hand, TWO, 0)), ["b1"]);
    assert!(hand.settle(ONE, head[0].token));
    assert_eq!(names(&all(&mut hand, TWO, 0)), ["a2"]);
}

#[test]
fn the_holder_of_a_key_may_have_what_follows() {
    let mut hand = hand_of(&["a1", "a2"]);
    assert_eq!(names(&hand.hand_out(ONE, 1, at(0))), ["a1"]);
    assert_eq!(names(&all(&mut hand, ONE, 0)), ["a2"]);
}

#[test]
fn followers_come_back_behind_their_head_however_they_are_given_back() {
    let mut hand = hand_of(&["a1", "a2", "a3"]);
    let out = hand.hand_out(ONE, 2, at(0));
    assert!(hand.give_back(ONE, out[0].token, None));
    assert_eq!(names(&all(&mut hand, TWO, 0)), [""; 0], "its follower is in hand still");
    assert!(hand.give_back(ONE, out[1].token, None));
    assert_eq!(names(&all(&mut hand, TWO, 0)), ["a1", "a2", "a3"]);
}

#[test]
fn a_delay_holds_its_key_and_no_other() {
    let mut hand = hand_of(&["a1", "a2", "b1", "-1"]);
    let head = hand.hand_out(ONE, 1, at(0));
    assert!(hand.give_back(ONE, head[0].token, Some(at(5))));
    assert_eq!(names(&all(&mut hand, TWO, 4)), ["b1", "-1"]);
    assert_eq!(hand.next_due(), Some(at(5)));
    assert_eq!(names(&all(&mut hand, TWO, 5)), ["a1", "a2"]);
}

#[test]
fn no_delay_of_a_key_is_cut_short_by_another() {
    let mut hand = hand_of(&["a1", "a2"]);
    let out = all(&mut hand, ONE, 0);
    hand.give_back(ONE, out[0].token, Some(at(2)));
    hand.give_back(ONE, out[1].token, Some(at(5)));
    assert_eq!(names(&all(&mut hand, ONE, 4)), [""; 0]);
    assert_eq!(names(&all(&mut hand, ONE, 5)), ["a1", "a2"]);
}

#[test]
fn a_token_is_good_for_one_hand_out_and_one_receiver() {
    let mut hand = hand_of(&["-1"]);
    let first = all(&mut hand, ONE, 0);
    assert!(!hand.settle(TWO, first[0].token), "it is another's");
    assert!(hand.give_back(ONE, first[0].token, None));
    let second = all(&mut hand, ONE, 0);
    assert!(!hand.settle(ONE, first[0].token), "it was given back");
    assert!(hand.settle(ONE, second[0].token));
    assert!(!hand.settle(ONE, second[0].token), "it is settled");
}

#[test]
fn prefetch_bounds_what_a_receiver_holds() {
    let mut hand = hand_of(&["-1", "-2", "-3"]);
    hand.join(TWO, 2);
    let out = all(&mut hand, TWO, 0);
    assert_eq!((out.len(), all(&mut hand, TWO, 0).len()), (2, 0));
    hand.settle(TWO, out[0].token);
    assert_eq!(all(&mut hand, TWO, 0).len(), 1);
}

#[test]
fn what_a_revoked_partition_had_in_hand_is_lost_and_fenced() {
    let mut hand = hand_of(&["a1", "a2"]);
    hand.assign(of(1), Window::default());
    add(&mut hand, (of(1), 0), "a9");
    let out = all(&mut hand, ONE, 0);
    hand.begin_to_leave(of(0));
    assert_eq!(hand.leaving_count(), 2);
    hand.forget(of(0));
    let lost = &hand.reader(ONE).expect("joined").lost;
    assert_eq!(*lost, [out[0].token, out[1].token]);
    assert!(!hand.settle(ONE, out[0].token), "an ack of the old assignment");
    assert!(hand.settle(ONE, out[2].token), "the other partition is still ours");
    hand.assign(of(0), Window::default());
    assert!(!hand.settle(ONE, out[1].token), "nor after it came back");
    assert_eq!(hand.window(of(0)).and_then(Window::watermark), None);
}

#[test]
fn nothing_of_a_leaving_partition_is_handed_out() {
    let mut hand = hand_of(&["a1", "a2"]);
    let head = hand.hand_out(ONE, 1, at(0));
    hand.begin_to_leave(of(0));
    assert_eq!(all(&mut hand, ONE, 0).len(), 0);
    assert!(hand.settle(ONE, head[0].token), "what is in hand may still be settled");
    assert_eq!(hand.window(of(0)).and_then(Window::watermark), Some(1));
}

#[test]
fn what_a_receiver_had_goes_to_the_next() {
    let mut hand = hand_of(&["a1", "-2"]);
    let out = all(&mut hand, ONE, 0);
    assert_eq!(hand.part(ONE), [out[0].token, out[1].token]);
    assert!(!hand.settle(ONE, out[0].token));
    assert_eq!(names(&all(&mut hand, TWO, 0)), ["a1", "-2"]);
    assert_eq!(hand.part(ONE), []);
}

#[test]
fn what_is_set_aside_is_not_handed_out_and_holds_the_watermark() {
    let mut hand = hand_of(&[]);
    assert!(hand.add((of(0), 0), record("a1"), When::Never, at(0)));
    add(&mut hand, (of(0), 1), "a2");
    let next = all(&mut hand, ONE, 0);
    assert_eq!(names(&next), ["a2"], "its key is not held up");
    assert!(hand.settle(ONE, next[0].token));
    assert_eq!(hand.window(of(0)).and_then(Window::watermark), Some(0));
    hand.settle_place((of(0), 0));
    assert_eq!(hand.window(of(0)).and_then(Window::watermark), Some(2));
}

#[test]
fn what_is_read_early_waits_for_its_own_time_and_then_keeps_the_order_of_its_key() {
    let mut hand = hand_of(&[]);
    for (offset, name, due) in [(0, "a1", 5), (1, "a2", 5), (2, "b1", 3), (3, "a3", 4)] {
        assert!(hand.add((of(0), offset), record(name), When::At(at(due)), at(0)));
    }
    assert_eq!((hand.next_due(), hand.delayed_count()), (Some(at(3)), 0));
    assert_eq!(names(&all(&mut hand, ONE, 2)), [""; 0]);
    assert_eq!(names(&all(&mut hand, ONE, 3)), ["b1"]);
    let early = all(&mut hand, ONE, 4);
    assert_eq!(names(&early), ["a3"], "a later one of its key that is due before");
    assert_eq!(names(&all(&mut hand, ONE, 5)), [""; 0], "its key is in hand");
    assert!(hand.settle(ONE, early[0].token));
    assert_eq!(names(&all(&mut hand, ONE, 5)), ["a1", "a2"]);
}

#[test]
fn what_is_taken_out_of_a_hand_frees_its_key_and_holds_the_watermark() {
    let mut hand = hand_of(&["a1", "a2"]);
    let head = hand.hand_out(ONE, 1, at(0)).remove(0);
    assert_eq!(hand.set_aside(ONE, head.token), Some((of(0), 0)));
    assert_eq!(hand.set_aside(ONE, head.token), None, "it is no longer in hand");
    let next = all(&mut hand, TWO, 0);
    assert_eq!(names(&next), ["a2"]);
    assert!(hand.settle(TWO, next[0].token));
    assert_eq!(hand.window(of(0)).and_then(Window::watermark), Some(0));
    hand.settle_place((of(0), 0));
    assert_eq!(hand.window(of(0)).and_then(Window::watermark), Some(2));
}
