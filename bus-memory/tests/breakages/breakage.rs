//! A bus that breaks one promise, and the look at the case that names it.

use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use bus::conformance::{Harness, Time, Verdict, cases, run};
use bus::layer::{Layer, LayerExt};
use bus::{Bus, BusExt, Capability, Destination, Message, MessageId, Outgoing, PublishOutcome, Result, Seams};
use bus_memory::{MemoryBus, MemoryOptions};

use crate::layers::Claims;
use crate::wire::Wire;
use crate::wired::Wired;

/// A table of tests: `name breaks case by breakage;`. The cases are listed for
/// `every_case_can_fail`.
macro_rules! breakages {
    ($($name:ident breaks $case:ident by $breakage:expr;)+) => {
        pub(crate) const BROKEN: &[&str] = &[$(stringify!($case)),+];
        $(
            #[test]
            fn $name() {
                $crate::breakage::check(stringify!($case), $breakage);
            }
        )+
    };
}

/// An honest bus, and one that breaks a promise of it.
pub(crate) struct Breakage {
    honest: Made,
    broken: Made,
}

/// A memory bus in layers.
#[derive(Clone)]
struct Made {
    options: MemoryOptions,
    /// What stands between clients and the bus; the layers are on the clients' side.
    wire: Option<fn(MemoryOptions) -> Wire>,
    wrap: Arc<Wrap>,
}

pub(crate) type Wrap = dyn Fn(Arc<dyn Bus>, &Seams) -> Arc<dyn Bus> + Send + Sync;

impl Breakage {
    /// Broken by a layer around the honest bus.
    pub(crate) fn by<L: Layer>(layer: impl Fn() -> L + Send + Sync + 'static) -> Self {
        Self::unlayered().within(layer)
    }

    /// The same for a layer that takes its time from the run.
    pub(crate) fn timed<L: Layer>(layer: impl Fn(&Seams) -> L + Send + Sync + 'static) -> Self {
        Self::unlayered().wrapped(move |bus, seams| bus.layer(layer(seams)))
    }

    /// Broken by the lack of a layer, or by what is [`around`](Self::around).
    pub(crate) fn unlayered() -> Self {
        let made = Made { options: MemoryOptions::default(), wire: None, wrap: Arc::new(|bus, _| bus) };
        Self { honest: made.clone(), broken: made }
    }

    fn wrapped(mut self, outer: impl Fn(Arc<dyn Bus>, &Seams) -> Arc<dyn Bus> + Send + Sync + 'static) -> Self {
        let inner = self.broken.wrap;
        self.broken.wrap = Arc::new(move |bus, seams| outer(inner(bus, seams), seams));
        self
    }

    /// Both with these options.
    pub(crate) fn under(mut self, options: MemoryOptions) -> Self {
        self.honest.options = options.clone();
        self.broken.options = options;
        self
    }

    /// Both at the end of a wire, which can be cut, with a broker that can be killed.
    pub(crate) fn over(mut self, wire: fn(MemoryOptions) -> Wire) -> Self {
        (self.honest.wire, self.broken.wire) = (Some(wire), Some(wire));
        self
    }

    /// The broken one around a bus with other options than the honest one.
    pub(crate) fn around(mut self, options: MemoryOptions) -> Self {
        self.broken.options = options;
        self
    }

    /// The broken one in a further layer.
    pub(crate) fn within<L: Layer>(self, layer: impl Fn() -> L + Send + Sync + 'static) -> Self {
        self.wrapped(move |bus, _| bus.layer(layer()))
    }

    /// The broken one with a capability that is not that of the bus behind it.
    pub(crate) fn claiming(self, claim: fn(&mut Capability)) -> Self {
        self.within(move || Claims(claim))
    }

    /// The honest one with a layer without which it would not keep the promise.
    pub(crate) fn instead_of<L: Layer>(mut self, layer: impl Fn() -> L + Send + Sync + 'static) -> Self {
        self.honest.wrap = Arc::new(move |bus, _| bus.layer(layer()));
        self
    }
}

/// Asserts that the honest bus passes `case` and the broken one fails it.
pub(crate) fn check(case: &str, breakage: Breakage) {
    let named = cases::named(case).unwrap_or_else(|| panic!("there is no case {case}"));
    let run = |made: Made| run(named, made.harness());
    assert_eq!(run(breakage.honest), Verdict::Passed, "{case}, on an honest bus");
    let verdict = run(breakage.broken);
    assert!(matches!(verdict, Verdict::Failed(_)), "{case} did not notice: {verdict:?}");
}

impl Made {
    fn harness(self) -> Arc<dyn Harness> {
        match self.wire {
            Some(wire) => Arc::new(Wired { wire: wire(self.options), wrap: self.wrap }),
            None => Arc::new(Memory { made: self, buses: OnceLock::new() }),
        }
    }
}

/// One broker; every connection is the same bus.
struct Memory {
    made: Made,
    buses: OnceLock<Buses>,
}

struct Buses {
    /// The bus behind the layers, for a foreign producer.
    inner: Arc<MemoryBus>,
    layered: Arc<dyn Bus>,
}

#[async_trait]
impl Harness for Memory {
    fn time(&self) -> Time {
        Time::Virtual
    }

    async fn connect(&self, seams: &Seams) -> Result<Arc<dyn Bus>> {
        let buses = self.buses.get_or_init(|| {
            let inner = MemoryBus::new(seams.clone(), self.made.options.clone());
            Buses { layered: (self.made.wrap)(Arc::clone(&inner) as _, seams), inner }
        });
        Ok(Arc::clone(&buses.layered))
    }

    fn has_undecodable(&self) -> bool {
        true
    }

    /// A foreign message, which the bus itself takes and a [quarantine](crate::undecodable) does not.
    async fn publish_undecodable(&self, destination: &Destination, raw: &[u8]) -> Result<()> {
        let id = MessageId::parse("the broker's own id")?;
        let outgoing = Outgoing::new(destination.clone(), Message::foreign(id, raw.to_vec()));
        let inner = &self.buses.get().expect("the case has connected").inner;
        match inner.publish_one(outgoing).await {
            PublishOutcome::Accepted(_) => Ok(()),
            PublishOutcome::Refused(error) | PublishOutcome::Unknown(error) => Err(error),
        }
    }
}
