//! A bus that breaks one promise, and the look at the case that names it.

use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use bus::conformance::{Harness, Time, Verdict, cases, run};
use bus::layer::{Layer, LayerExt};
use bus::{Bus, Capability, Result, Seams};
use bus_memory::{MemoryBus, MemoryOptions};

use crate::layers::Claims;

/// A table of tests: `name breaks case by breakage;`.
macro_rules! breakages {
    ($($name:ident breaks $case:ident by $breakage:expr;)+) => {$(
        #[test]
        fn $name() {
            $crate::breakage::check(stringify!($case), $breakage);
        }
    )+};
}

/// How a bus is broken: by layers, around a memory bus.
pub(crate) struct Breakage {
    /// The setting under which the promise holds.
    setting: MemoryOptions,
    /// The bus behind the layers.
    options: MemoryOptions,
    wrap: Arc<Wrap>,
}

type Wrap = dyn Fn(Arc<dyn Bus>, &Seams) -> Arc<dyn Bus> + Send + Sync;

impl Breakage {
    /// The bus in a layer.
    pub(crate) fn by<L: Layer>(layer: impl Fn() -> L + Send + Sync + 'static) -> Self {
        Self::wrapped(move |bus, _| bus.layer(layer()))
    }

    /// The same for a layer that takes its time from the run.
    pub(crate) fn timed<L: Layer>(layer: impl Fn(&Seams) -> L + Send + Sync + 'static) -> Self {
        Self::wrapped(move |bus, seams| bus.layer(layer(seams)))
    }

    /// No layer: the bus [`around`](Self::around) which there would be one is broken enough.
    pub(crate) fn unlayered() -> Self {
        Self::wrapped(|bus, _| bus)
    }

    fn wrapped(wrap: impl Fn(Arc<dyn Bus>, &Seams) -> Arc<dyn Bus> + Send + Sync + 'static) -> Self {
        Self { setting: MemoryOptions::default(), options: MemoryOptions::default(), wrap: Arc::new(wrap) }
    }

    /// Under another setting, on the honest bus and on the broken one.
    pub(crate) fn under(mut self, setting: MemoryOptions) -> Self {
        self.options = setting.clone();
        self.setting = setting;
        self
    }

    /// Around another bus, which [`claims`](Self::claiming) to be of the setting.
    pub(crate) fn around(mut self, options: MemoryOptions) -> Self {
        self.options = options;
        self
    }

    /// With a capability that is not that of the bus behind the layers.
    pub(crate) fn claiming(mut self, claim: fn(&mut Capability)) -> Self {
        let wrap = self.wrap;
        self.wrap = Arc::new(move |bus, seams| wrap(bus, seams).layer(Claims(claim)));
        self
    }
}

/// Asserts that the honest bus passes `case` and the broken one fails it.
pub(crate) fn check(case: &str, broken: Breakage) {
    let named = cases::named(case).unwrap_or_else(|| panic!("there is no case {case}"));
    let honest = Memory::of(broken.setting, Arc::new(|bus, _| bus));
    assert_eq!(run(named, Arc::new(honest)), Verdict::Passed, "{case}, on an honest bus");
    let verdict = run(named, Arc::new(Memory::of(broken.options, broken.wrap)));
    assert!(matches!(verdict, Verdict::Failed(_)), "{case} did not notice: {verdict:?}");
}

/// One broker; every connection is the same bus.
struct Memory {
    options: MemoryOptions,
    wrap: Arc<Wrap>,
    bus: OnceLock<Arc<dyn Bus>>,
}

impl Memory {
    fn of(options: MemoryOptions, wrap: Arc<Wrap>) -> Self {
        Self { options, wrap, bus: OnceLock::new() }
    }
}

#[async_trait]
impl Harness for Memory {
    fn time(&self) -> Time {
        Time::Virtual
    }

    async fn connect(&self, seams: &Seams) -> Result<Arc<dyn Bus>> {
        let make = || (self.wrap)(MemoryBus::new(seams.clone(), self.options.clone()), seams);
        Ok(Arc::clone(self.bus.get_or_init(make)))
    }
}
