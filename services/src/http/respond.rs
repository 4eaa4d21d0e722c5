//! Successful answers.

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, StatusCode};
use serde::Serialize;

use super::problem::Problem;

/// What a handler answers with: warp's response.
pub type Response = warp::reply::Response;

/// A JSON body with this status.
///
/// `Ok` is the finished response; a value that does not serialize is a 500 problem.
pub fn json(status: StatusCode, value: &impl Serialize) -> Result<Response, Problem> {
    let body = serde_json::to_vec(value).map_err(Problem::internal)?;
    Ok(json_bytes(status, body.into()))
}

/// A body that already is JSON, sent as it is: an answer that was stored.
#[must_use]
pub fn json_bytes(status: StatusCode, body: Bytes) -> Response {
    typed(status, "application/json", body)
}

/// A plain text body with this status.
#[must_use]
pub fn text(status: StatusCode, body: &'static str) -> Response {
    typed(status, "text/plain; charset=utf-8", Bytes::from_static(body.as_bytes()))
}

/// No body at all.
#[must_use]
pub fn empty(status: StatusCode) -> Response {
    let mut response = Response::default();
    *response.status_mut() = status;
    response
}

/// A body of this media type.
#[must_use]
pub fn typed(status: StatusCode, media_type: &'static str, body: Bytes) -> Response {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    response
}
