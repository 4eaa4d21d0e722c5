//! The composition root: the only place that names concrete backends and stores.

use std::process::ExitCode;

use bus::Seams;

use crate::failure::Failure;
use crate::settings::Settings;

/// Runs the services until a signal ends them. Prints the banner once the listeners serve.
pub(crate) async fn serve(settings: Settings, seams: Seams) -> Result<ExitCode, Failure> {
    unwired(&settings, &seams)
}

/// Runs the reconciler once and prints what it did.
pub(crate) async fn reconcile(settings: Settings, seams: Seams, as_json: bool) -> Result<ExitCode, Failure> {
    let _ = as_json;
    unwired(&settings, &seams)
}

/// Prints what the bus gives the order system.
pub(crate) async fn contract(settings: Settings, seams: Seams, as_json: bool) -> Result<ExitCode, Failure> {
    let _ = as_json;
    unwired(&settings, &seams)
}

/// Reads every setting, so that the compiler misses none before the services are here.
fn unwired(settings: &Settings, _seams: &Seams) -> Result<ExitCode, Failure> {
    let banner = crate::banner::render(&crate::banner::Banner {
        producer: Some(settings.producer_addr),
        consumer: Some(settings.consumer_addr),
        data: &settings.data,
        bus: &settings.bus,
        weaknesses: &[],
    });
    tracing::debug!(
        banner,
        time_zone = ?settings.time_zone,
        every = ?settings.reconcile_every,
        grace = ?settings.reconcile_grace,
        drain = ?settings.drain,
        concurrency = settings.concurrency,
        attempts = settings.attempts,
        stock = ?settings.stock,
        limit = ?settings.payment_limit,
    );
    Err(Failure::runtime("the services are not wired yet"))
}
