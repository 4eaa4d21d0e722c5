//! A layer and a middleware of your own.
//!
//! Shows a [`Layer`] that stamps every message with its tenant, whoever publishes it, and a
//! [`Middleware`] that lets a handler see messages of one tenant only; others go to the dead letters.
//!
//! ```text
//! cargo run -p bus --example custom_layer
//! ```

use std::sync::Arc;

use async_trait::async_trait;
use bus::layer::{Layer, LayerExt};
use bus::middleware::{HandlerExt, Middleware};
use bus::pipeline::{Envelope, Failure, Handled, Handler, Pipeline};
use bus::typed::{Decoding, Front, Json};
use bus::{Bus, Declaration, Destination, Outgoing, PublishOutcome, Result, Seams, Subscription};
use bus_memory::{MemoryBus, MemoryOptions};
use tokio_util::sync::CancellationToken;

const TENANT: &str = "x-tenant";

/// Writes the tenant on what passes. All that it does not mention passes unchanged.
#[derive(Debug)]
struct Stamp(&'static str);

#[async_trait]
impl Layer for Stamp {
    async fn publish(&self, mut batch: Vec<Outgoing>, next: &dyn Bus) -> Vec<PublishOutcome> {
        for outgoing in &mut batch {
            outgoing.message_mut().headers_mut().set(TENANT, self.0);
        }
        next.publish(batch).await
    }
}

/// Keeps other tenants' messages from a handler.
struct Only(&'static str);

#[async_trait]
impl Middleware for Only {
    async fn handle(&self, envelope: Envelope, next: &dyn Handler) -> Handled {
        let tenant = envelope.message().headers().text(TENANT).unwrap_or("nobody");
        if tenant != self.0 {
            println!("turned away: a message of {tenant}");
            return Err(Failure::Reject(format!("it belongs to {tenant}, not to {}", self.0)));
        }
        next.handle(envelope).await
    }
}

#[tokio::main(flavor = "current_thread")]
pub(crate) async fn main() -> Result<()> {
    let seams = Seams::system();
    let bus: Arc<dyn Bus> = MemoryBus::new(seams.clone(), MemoryOptions::default());
    let greetings = Destination::new("greetings")?;
    bus.declare(&[Declaration::of(greetings.clone())]).await?;

    // The same bus three times: bare, and for two tenants.
    let bare = Front::new(Arc::clone(&bus), seams.clone());
    let theirs = Front::new(Arc::clone(&bus).layer(Stamp("their shop")), seams.clone());
    let ours = Front::new(Arc::clone(&bus).layer(Stamp("our shop")), seams.clone());
    bare.publish_json(&greetings, None, "hello from somewhere").await?;
    theirs.publish_json(&greetings, None, "hello from them").await?;
    ours.publish_json(&greetings, None, "hello from us").await?;

    let shutdown = CancellationToken::new();
    let done = shutdown.clone();
    let greet = move |text: String, _: Envelope| {
        println!("handled: {text}");
        done.cancel();
        async { Ok(()) }
    };
    let handler = Decoding::new(Json, greet).with(Only("our shop"));
    Pipeline::new(bus, Subscription::to(greetings), Arc::new(handler), seams).run(shutdown).await
}
