//! The HTTP edge: routes as data on warp, every error a problem document, and a bounded server loop.
//!
//! Nothing here knows an order. A request's way through these files, in reading order:
//!
//! 1. [`server`] accepts a connection and bounds what a slow or greedy client can hold;
//! 2. [`Edge`] turns the request into values with one warp filter, with or without sockets
//!    ([`in_process`]);
//! 3. [`Router`] finds the [`Resource`], asks its [`Bearer`] guard, receives the body (64 KiB at
//!    most) and runs the handler: an async function from state and [`Request`] to an [`Answer`];
//! 4. the answer is a response ([`json`], [`text`]) or a [`Problem`]: errors are values, and a
//!    rejection or a panic becomes a problem too.
//!
//! ```
//! use std::sync::Arc;
//! use http::StatusCode;
//! use services::http::{Answer, Problem, Request, Resource, Router, in_process, json};
//!
//! struct Shelf(Vec<&'static str>);
//!
//! async fn show(shelf: Arc<Shelf>, request: Request) -> Answer {
//!     let title = request.param("title");
//!     let book = shelf.0.iter().find(|book| **book == title);
//!     json(StatusCode::OK, book.ok_or_else(|| Problem::not_found("no such book"))?)
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! let router = Router::new(Arc::new(Shelf(vec!["Momo"])));
//! let edge = router.resource(Resource::at("/books/{title}").get(show)).into_edge();
//! let request = http::Request::get("/books/Momo").body(bytes::Bytes::new()).unwrap();
//! assert_eq!(in_process::call(&edge, request).await.body(), r#""Momo""#);
//! # }
//! ```

mod bearer;
mod body;
mod decode;
mod edge;
pub mod health;
pub mod in_process;
mod json_body;
mod metering;
mod pattern;
mod problem;
mod query;
mod recover;
mod request;
mod resource;
mod respond;
mod router;
pub mod server;
#[cfg(test)]
mod tests;
mod tracing;

pub use bearer::Bearer;
pub use body::{BODY_BYTES_MAX, DRAIN_BYTES_MAX};
pub use edge::Edge;
pub use metering::Metering;
pub use problem::{FieldError, Problem};
pub use query::Query;
pub use recover::recover;
pub use request::Request;
pub use resource::{Answer, Resource};
pub use respond::{Response, empty, json, json_bytes, text, typed};
pub use router::{IN_FLIGHT_MAX, Router};
pub use tracing::TRACESTATE_BYTES_MAX;
