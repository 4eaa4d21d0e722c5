//! Delay classes: one wait queue each, so that a long delay holds no shorter one up.
//!
//! A message expires only at the head of its queue, so all messages of a wait queue have the same
//! time to live. A delay is rounded up to its class: never early, and late by no more than what
//! was asked for, beyond the first class.

use std::time::Duration;

use crate::config::DELAY_MAX;

/// In milliseconds, up to [`DELAY_MAX`].
const CLASSES: [u64; 34] = {
    const S: u64 = 1_000;
    const M: u64 = 60 * S;
    const H: u64 = 60 * M;
    [
        100,
        150,
        200,
        300,
        450,
        700,
        S,
        1_500,
        2 * S,
        3 * S,
        4_500,
        7 * S,
        10 * S,
        15 * S,
        20 * S,
        30 * S,
        45 * S,
        M,
        90 * S,
        2 * M,
        3 * M,
        270 * S,
        7 * M,
        10 * M,
        15 * M,
        20 * M,
        30 * M,
        45 * M,
        H,
        90 * M,
        3 * H,
        6 * H,
        12 * H,
        24 * H,
    ]
};

/// The time to live of the queue that keeps a delay; `None` beyond the longest.
pub(crate) fn class_of(delay: Duration) -> Option<Duration> {
    CLASSES.into_iter().map(Duration::from_millis).find(|class| delay <= *class)
}

pub(crate) fn classes() -> impl Iterator<Item = Duration> {
    CLASSES.into_iter().map(Duration::from_millis)
}

/// The name of a wait queue.
pub(crate) fn wait_queue(destination: &str, class: Duration) -> String {
    format!("{destination}.wait-{}ms", class.as_millis())
}

const _: () = assert!(CLASSES[CLASSES.len() - 1] == DELAY_MAX.as_millis() as u64);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delay_is_rounded_up_and_late_by_at_most_as_much_again() {
        let (mut milliseconds, last) = (1_u64, CLASSES[CLASSES.len() - 1]);
        while milliseconds <= last {
            let delay = Duration::from_millis(milliseconds);
            let class = class_of(delay).expect("within the cap");
            assert!(class >= delay, "{delay:?} comes early, after {class:?}");
            assert!(class <= 2 * delay + Duration::from_millis(100), "{delay:?} waits {class:?}");
            milliseconds += 1 + milliseconds / 50;
        }
        assert_eq!(class_of(Duration::from_millis(last + 1)), None);
    }

    #[test]
    fn classes_grow() {
        assert!(CLASSES.is_sorted());
    }
}
