//! The typed front: values in, values out, so that an application rarely sees bytes.
//!
//! A [`Front`] holds a bus and the seams. What it publishes gets a fresh id and the content type of
//! its codec; what it subscribes to reaches the handler as a value.
//!
//! ```
//! use bus::typed::Front;
//! use bus::{Bus, Declaration, Destination, MessageKey, Seams, Subscription};
//! use bus_memory::{MemoryBus, MemoryOptions};
//! use serde::{Deserialize, Serialize};
//! use tokio_util::sync::CancellationToken;
//!
//! #[derive(Serialize, Deserialize)]
//! struct Order {
//!     quantity: u32,
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> bus::Result<()> {
//! let seams = Seams::system();
//! let front = Front::new(MemoryBus::new(seams.clone(), MemoryOptions::default()), seams);
//! let orders = Destination::new("orders")?;
//! front.bus().declare(&[Declaration::of(orders.clone())]).await?;
//! front.publish_json(&orders, MessageKey::new("ORD-1")?, &Order { quantity: 2 }).await?;
//!
//! let shutdown = CancellationToken::new();
//! let done = shutdown.clone();
//! let pipeline = front.subscribe_json(Subscription::to(orders), move |order: Order, envelope| {
//!     assert_eq!((order.quantity, envelope.attempt()), (2, 1));
//!     done.cancel();
//!     async { Ok(()) }
//! });
//! pipeline.run(shutdown).await
//! # }
//! ```
//!
//! # Quarantine
//!
//! A body that cannot be read goes to the destination's dead letters at once, without a retry: its
//! bytes as they came, and a reason that names the type, the fault and its place. So does one whose
//! content type the codec does not understand, without a try: bytes of another format may happen to
//! read as a value that nobody sent. A message *without* content type is read, because foreign
//! producers rarely set one. The next message flows in either case.
//!
//! # Other parts
//!
//! [`Decoding`] is the step from message to value as an ordinary [`Handler`](crate::pipeline::Handler):
//! put [middleware](crate::middleware) around it, or the [`inbox`](crate::inbox) behind it. Any
//! [`Codec`] takes the place of [`Json`].

mod codec;
mod decoding;
mod front;
mod json;

pub use codec::{Codec, Decode, Encode};
pub use decoding::{Decoding, REASON_BYTES_MAX, TypedHandler, TypedUnitHandler, decode};
pub use front::Front;
pub use json::Json;
