//! A bus that breaks one promise, and the look at the case that names it.

use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use bus::conformance::{Harness, Time, Verdict, cases, run};
use bus::layer::{Layer, LayerExt, ReceiverLayer, layered_receiver};
use bus::{Bus, Receiver, Result, Seams, SubscribeOptions, Subscription};
use bus_memory::{MemoryBus, MemoryOptions};

/// A table of tests: `name breaks case by breakage;`.
macro_rules! breakages {
    ($($name:ident breaks $case:ident by $breakage:expr;)+) => {$(
        #[test]
        fn $name() {
            $crate::breakage::check(stringify!($case), $breakage);
        }
    )+};
}

/// How a bus is broken: a layer, around a memory bus with these options.
pub(crate) struct Breakage {
    options: MemoryOptions,
    wrap: Box<Wrap>,
}

type Wrap = dyn Fn(Arc<dyn Bus>, &Seams) -> Arc<dyn Bus> + Send + Sync;

impl Breakage {
    /// A layer around the bus.
    pub(crate) fn bus<L: Layer>(layer: impl Fn() -> L + Send + Sync + 'static) -> Self {
        Self::wrapped(move |bus, _| bus.layer(layer()))
    }

    /// A layer around each receiver.
    pub(crate) fn receivers<R: ReceiverLayer>(layer: impl Fn(&Seams) -> R + Clone + Send + Sync + 'static) -> Self {
        Self::wrapped(move |bus, seams| bus.layer(Receivers { layer: layer.clone(), seams: seams.clone() }))
    }

    fn wrapped(wrap: impl Fn(Arc<dyn Bus>, &Seams) -> Arc<dyn Bus> + Send + Sync + 'static) -> Self {
        Self { options: MemoryOptions::default(), wrap: Box::new(wrap) }
    }

    /// Changes the bus behind the layer as well.
    pub(crate) fn on(mut self, options: MemoryOptions) -> Self {
        self.options = options;
        self
    }
}

/// Asserts that the honest bus passes `case` and the broken one fails it.
pub(crate) fn check(case: &str, broken: Breakage) {
    let named = cases::named(case).unwrap_or_else(|| panic!("there is no case {case}"));
    let honest = Breakage::wrapped(|bus, _| bus);
    assert_eq!(run(named, Arc::new(Memory::of(honest))), Verdict::Passed, "{case}, on an honest bus");
    let verdict = run(named, Arc::new(Memory::of(broken)));
    assert!(matches!(verdict, Verdict::Failed(_)), "{case} did not notice: {verdict:?}");
}

/// One broker; every connection is the same bus.
struct Memory {
    breakage: Breakage,
    bus: OnceLock<Arc<dyn Bus>>,
}

impl Memory {
    fn of(breakage: Breakage) -> Self {
        Self { breakage, bus: OnceLock::new() }
    }
}

#[async_trait]
impl Harness for Memory {
    fn time(&self) -> Time {
        Time::Virtual
    }

    async fn connect(&self, seams: &Seams) -> Result<Arc<dyn Bus>> {
        let Breakage { options, wrap } = &self.breakage;
        Ok(self.bus.get_or_init(|| wrap(MemoryBus::new(seams.clone(), options.clone()), seams)).clone())
    }
}

/// Puts a layer of its own around each receiver.
struct Receivers<F> {
    layer: F,
    seams: Seams,
}

#[async_trait]
impl<F: Fn(&Seams) -> R + Send + Sync + 'static, R: ReceiverLayer> Layer for Receivers<F> {
    async fn subscribe(
        &self,
        subscription: &Subscription,
        options: SubscribeOptions,
        next: &dyn Bus,
    ) -> Result<Arc<dyn Receiver>> {
        Ok(layered_receiver(next.subscribe(subscription, options).await?, (self.layer)(&self.seams)))
    }
}

impl<F> std::fmt::Debug for Receivers<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Receivers")
    }
}
