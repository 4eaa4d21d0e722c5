//! The example tells what its page says: one flow is broken, the other is not.

use std::path::PathBuf;
use std::process::Command;

/// Examples are built beside the tests.
fn example(name: &str) -> PathBuf {
    let mut path = std::env::current_exe().expect("a test has a path");
    path.pop();
    path.pop();
    path.join("examples").join(format!("{name}{}", std::env::consts::EXE_SUFFIX))
}

#[test]
fn a_flow_of_two_services_is_found_to_be_idempotent_or_not() {
    let output = Command::new(example("two_services")).output().expect("it is built with the tests");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let lines: Vec<&str> = text.lines().collect();
    let [broken, why, story @ .., honest] = &lines[..] else { panic!("two flows: {text}") };
    assert!(broken.ends_with(" of 400 runs failed") && !broken.contains(" 0 of 400"), "{broken}");
    assert!(why.contains("was charged 2 times"), "{why}");
    let received = story.iter().filter(|line| line.contains("billing: received order-")).count();
    assert!(received > 1, "it is told how that came about: {text}");
    assert!(honest.contains(" 0 of 400 runs failed"), "{honest}");
}
