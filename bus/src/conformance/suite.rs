//! Every case under every setting, as tests with a runner's usual output and options.

use std::process::ExitCode;
use std::sync::Arc;

use libtest_mimic::{Arguments, Completion, Trial};

use super::{Harness, Verdict, cases, run};

/// Cases at the same time, unless told otherwise: in real time they mostly wait.
const THREAD_COUNT: usize = 16;

type Make = Arc<dyn Fn() -> Arc<dyn Harness> + Send + Sync>;

/// The settings of a backend under which the contract is shown.
///
/// For a test with `harness = false`; takes the arguments of `cargo test`, so that
/// `cargo test --test conformance -- --list` prints the contract.
#[derive(Default)]
pub struct Suite {
    settings: Vec<(String, Result<Make, String>)>,
    missing: Option<String>,
    /// By setting and case.
    left_out: Vec<(&'static str, &'static str, &'static str)>,
}

impl Suite {
    /// No setting yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a setting; `make` is called once for each case.
    #[must_use]
    pub fn setting<H: Harness>(mut self, name: &str, make: impl Fn() -> H + Send + Sync + 'static) -> Self {
        self.settings.push((name.to_owned(), Ok(Arc::new(move || Arc::new(make())))));
        self
    }

    /// Adds a setting whose server cannot be had everywhere and is not there: every case of it is
    /// reported as ignored with this reason, whatever `CI` says. The other settings run.
    #[must_use]
    pub fn absent(mut self, name: &str, reason: &str) -> Self {
        self.settings.push((name.to_owned(), Err(reason.to_owned())));
        self
    }

    /// Leaves a case out of a setting: it is reported as ignored with this reason and not run, where a
    /// known deviation would be run first.
    #[must_use]
    pub fn without(mut self, setting: &'static str, case: &'static str, reason: &'static str) -> Self {
        self.left_out.push((setting, case, reason));
        self
    }

    /// Says that the server to test with is not there, and what to do about it: every case is reported
    /// as ignored with this reason, and fails where the environment variable `CI` is set.
    #[must_use]
    pub fn missing(mut self, reason: Option<String>) -> Self {
        self.missing = reason;
        self
    }

    /// Runs what the command line asks for. Any failed case makes the exit code one of failure.
    #[must_use]
    pub fn main(self) -> ExitCode {
        let mut trials = Vec::new();
        for (setting, make) in self.settings {
            for case in cases::all() {
                let (make, missing) = (make.clone(), self.missing.clone());
                let name = format!("[{setting}] {}: {}", case.area(), case.sentence());
                let left_out = self.left_out.iter().find(|(of, what, _)| *of == setting && *what == case.name());
                let make = left_out.map_or(make, |(_, _, reason)| Err((*reason).to_owned()));
                let make = match make {
                    Ok(make) => make,
                    Err(reason) => {
                        trials.push(Trial::ignorable_test(name, || Ok(Completion::ignored_with(reason))));
                        continue;
                    }
                };
                trials.push(Trial::ignorable_test(name, move || match missing {
                    Some(reason) if std::env::var_os("CI").is_some() => Err(reason.into()),
                    Some(reason) => Ok(Completion::ignored_with(reason)),
                    None => match run(case, make()) {
                        Verdict::Passed => Ok(Completion::Completed),
                        Verdict::Skipped(flag) => Ok(Completion::ignored_with(flag)),
                        Verdict::Failed(how) => Err(how.into()),
                    },
                }));
            }
        }
        let mut arguments = Arguments::from_args();
        arguments.test_threads.get_or_insert(THREAD_COUNT);
        libtest_mimic::run(&arguments, trials).exit_code()
    }
}
