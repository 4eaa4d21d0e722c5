//! Every case under every setting, as tests with a runner's usual output and options.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use libtest_mimic::{Arguments, Completion, Failed, Trial};

use super::record::{compare, record};
use super::{Case, Harness, Verdict, cases, run};

/// Cases at the same time, unless told otherwise: in real time they mostly wait.
const THREAD_COUNT: usize = 16;

/// Cases that are not run under a setting.
#[derive(Clone, Copy)]
struct LeftOut {
    setting: &'static str,
    cases: Cases,
    reason: &'static str,
}

#[derive(Clone, Copy)]
enum Cases {
    One(&'static str),
    /// All but those of these areas.
    AllBut(&'static [&'static str]),
}

impl LeftOut {
    fn names(&self, setting: &str, case: &Case) -> bool {
        self.setting == setting
            && match self.cases {
                Cases::One(name) => name == case.name(),
                Cases::AllBut(areas) => !areas.contains(&case.area()),
            }
    }
}

type Make = Arc<dyn Fn() -> Arc<dyn Harness> + Send + Sync>;

/// The settings of a backend under which the contract is shown.
///
/// For a test with `harness = false`; takes the arguments of `cargo test`, so that
/// `cargo test --test conformance -- --list` prints the contract.
#[derive(Default)]
pub struct Suite {
    settings: Vec<(String, Result<Make, String>)>,
    missing: Option<String>,
    left_out: Vec<LeftOut>,
    records: Option<PathBuf>,
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
        self.left_out.push(LeftOut { setting, cases: Cases::One(case), reason });
        self
    }

    /// Leaves all cases but those of some [areas](Case::area) out of a setting: the others are shown under
    /// another one, from which this one does not differ in what they are about.
    #[must_use]
    pub fn only(mut self, setting: &'static str, areas: &'static [&'static str], reason: &'static str) -> Self {
        self.left_out.push(LeftOut { setting, cases: Cases::AllBut(areas), reason });
        self
    }

    /// Keeps in `directory`, for each setting, the file `SETTING.record`: what the bus says it can and
    /// what each case comes to ([`Line`](super::Line)). One more test for each setting fails when the file
    /// is not that of today; with the environment variable `CONFORMANCE_RECORD` set it writes it.
    #[must_use]
    pub fn kept_in(mut self, directory: impl Into<PathBuf>) -> Self {
        self.records = Some(directory.into());
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
        for (setting, make) in &self.settings {
            for case in cases::all() {
                let name = format!("[{setting}] {}: {}", case.area(), case.sentence());
                let left_out = reason_against(&self.left_out, setting, case);
                let make = left_out.map_or_else(|| make.clone(), |reason| Err(reason.to_owned()));
                trials.push(self.trial(name, make, move |harness| match run(case, harness) {
                    Verdict::Passed => Ok(Completion::Completed),
                    Verdict::Skipped(flag) => Ok(Completion::ignored_with(flag)),
                    Verdict::Failed(how) => Err(how.into()),
                }));
            }
            if let Some(records) = &self.records {
                let path = records.join(format!("{setting}.record"));
                let (of, left_out) = (setting.clone(), self.left_out.clone());
                trials.push(self.trial(
                    format!("[{setting}] the record is that of today"),
                    make.clone(),
                    move |harness| {
                        let today = record(harness, &|case| reason_against(&left_out, &of, case));
                        compare(&path, &today.map_err(|error| error.to_string())?)?;
                        Ok(Completion::Completed)
                    },
                ));
            }
        }
        let mut arguments = Arguments::from_args();
        arguments.test_threads.get_or_insert(THREAD_COUNT);
        libtest_mimic::run(&arguments, trials).exit_code()
    }

    /// A test of one setting, where it and its server are there.
    fn trial(
        &self,
        name: String,
        make: Result<Make, String>,
        test: impl FnOnce(Arc<dyn Harness>) -> Result<Completion, Failed> + Send + 'static,
    ) -> Trial {
        let missing = self.missing.clone();
        Trial::ignorable_test(name, move || match (make, missing) {
            (Err(reason), _) => Ok(Completion::ignored_with(reason)),
            (Ok(_), Some(reason)) if std::env::var_os("CI").is_some() => Err(reason.into()),
            (Ok(_), Some(reason)) => Ok(Completion::ignored_with(reason)),
            (Ok(make), None) => test(make()),
        })
    }
}

/// Why a case is left out of a setting, if it is.
fn reason_against(left_out: &[LeftOut], setting: &str, case: &Case) -> Option<&'static str> {
    left_out.iter().find(|left_out| left_out.names(setting, case)).map(|left_out| left_out.reason)
}
