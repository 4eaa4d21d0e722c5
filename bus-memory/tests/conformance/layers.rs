//! The bus with each layer around it, and with all of them.

use std::sync::Arc;

use bus::conformance::Suite;
use bus::layer::{
    CircuitBreaker, CircuitPolicy, ClaimCheck, FaultInjection, Faults, LayerExt, Limits, MemoryClaims, Metering, Retry,
    RetryPolicy, Throttle, Timeout, Tracing,
};
use bus::metrics::{Metrics, Registry};
use bus::{Bus, Rate, Seams};
use bus_memory::MemoryOptions;

use crate::harness::Memory;

/// Fast enough for a case's few thousand messages, with a burst that most batches exceed.
const RATE: Rate = Rate { count_per_second: 10_000, burst_count_max: 16 };
/// Almost every body is beside the bus.
const THRESHOLD_BYTES: usize = 1;
const CLAIM_BYTES_MAX: usize = 1024 * 1024;

type Wrap = fn(Arc<dyn Bus>, &Seams) -> Arc<dyn Bus>;

/// `suite` with the settings of this file.
pub(crate) fn with_layers(suite: Suite) -> Suite {
    let settings: [(&str, Wrap); 9] = [
        ("with tracing", traced),
        ("with retry", retrying),
        ("with claim check", checked),
        ("with circuit breaker", broken),
        ("with throttle", throttled),
        ("with timeouts", limited),
        ("with metrics", metered),
        ("with faults at zero", faulty),
        ("with all layers", all),
    ];
    let settings = settings.into_iter().fold(suite, |suite, (name, wrap)| {
        suite.setting(name, move || Memory::with(MemoryOptions::default()).wrapped(wrap))
    });
    settings.setting("with retry, without atomic batches", || {
        Memory::with(MemoryOptions { publish_atomic: false, ..MemoryOptions::default() }).wrapped(retrying)
    })
}

/// In the recommended order: the last one is the outermost.
fn all(bus: Arc<dyn Bus>, seams: &Seams) -> Arc<dyn Bus> {
    let layers: [Wrap; 8] = [faulty, metered, limited, throttled, broken, checked, retrying, traced];
    layers.into_iter().fold(bus, |bus, layer| layer(bus, seams))
}

fn traced(bus: Arc<dyn Bus>, seams: &Seams) -> Arc<dyn Bus> {
    bus.layer(Tracing::new(seams))
}

fn metered(bus: Arc<dyn Bus>, seams: &Seams) -> Arc<dyn Bus> {
    bus.layer(Metering::new(Metrics::register(&mut Registry::default()), seams))
}

fn throttled(bus: Arc<dyn Bus>, seams: &Seams) -> Arc<dyn Bus> {
    bus.layer(Throttle::new(RATE, seams))
}

fn broken(bus: Arc<dyn Bus>, seams: &Seams) -> Arc<dyn Bus> {
    // One failure is enough, so that none of the suite's goes unnoticed.
    bus.layer(CircuitBreaker::new(CircuitPolicy { failure_count_max: 1, ..CircuitPolicy::default() }, seams))
}

fn retrying(bus: Arc<dyn Bus>, seams: &Seams) -> Arc<dyn Bus> {
    bus.layer(Retry::new(RetryPolicy::default(), seams))
}

fn limited(bus: Arc<dyn Bus>, seams: &Seams) -> Arc<dyn Bus> {
    bus.layer(Timeout::new(Limits::default(), seams))
}

fn checked(bus: Arc<dyn Bus>, _: &Seams) -> Arc<dyn Bus> {
    let claims = MemoryClaims::new().with_body_bytes_max(CLAIM_BYTES_MAX);
    bus.layer(ClaimCheck::new(THRESHOLD_BYTES, Arc::new(claims)))
}

fn faulty(bus: Arc<dyn Bus>, seams: &Seams) -> Arc<dyn Bus> {
    bus.layer(FaultInjection::new(Faults::default(), seams))
}
