//! How orders and events look outside: HTTP bodies and message bodies.

mod event;
mod http_order;
mod incoming;
mod order_message;
mod result;
mod time;

pub use event::{EventType, SyncEvent};
pub use http_order::{OrderBody, Page, SYNC_HEALTH, SyncPage};
pub use incoming::{Fault, IncomingEvent, IncomingOrder, identify_event, identify_order};
pub use order_message::OrderMessage;
pub use result::ResultBody;
pub use time::{http_time, queue_time, read_time};
