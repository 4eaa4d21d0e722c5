//! The same seed is the same run: in one process, in another, and after others.

use std::process::Command;

use simulator::broker::Model;
use simulator::orders::{Plan, Profile, Report, run, run_kept};

const ORDERS: usize = 4;

fn report(seed: u64, model: Model) -> Report {
    run(&Plan::draw(seed, model, Profile::Swarm, ORDERS)).expect("a plan of today")
}

#[test]
fn the_same_seed_makes_the_same_run_twice_event_by_event() {
    for model in Model::ALL {
        let plan = Plan::draw(3, model, Profile::Nightmare, ORDERS);
        let [one, two] = [(); 2].map(|()| run_kept(&plan, None).expect("a plan of today").chronicle);
        let differing = one.iter().zip(&two).find(|(one, two)| one != two);
        assert_eq!(differing, None, "the first event that differs on {}", model.name());
        assert_eq!(one.len(), two.len());
        assert!(one.len() > 100, "something happened");
    }
}

#[test]
fn the_same_seed_makes_the_same_run_after_a_hundred_others() {
    for model in Model::ALL {
        let first = report(1, model);
        for seed in 2..102 {
            let other = run(&Plan::draw(seed, model, Profile::Swarm, 1)).expect("a plan of today");
            assert_ne!(other.hash, first.hash, "another seed is another run");
        }
        assert_eq!(report(1, model).hash, first.hash);
    }
}

#[test]
fn the_same_seed_makes_the_same_run_in_another_process() {
    for model in Model::ALL {
        let orders = ORDERS.to_string();
        let arguments = ["run", "--json", "--seed", "5", "--orders", &orders, "--broker", model.name()];
        let output = Command::new(env!("CARGO_BIN_EXE_simulator")).args(arguments).output().expect("it starts");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let first = text.lines().next().expect("an object for the seed");
        let object: serde_json::Value = serde_json::from_str(first).expect("it is JSON");
        assert_eq!(object["hash"], report(5, model).hash, "{text}");
    }
}
