//! Calling an [`Edge`] without sockets: the same routes, limits and problems.

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use tokio::task::JoinSet;
use tower_service::Service;

use super::edge::Edge;
use super::problem::Problem;
use super::respond::Response;

/// The edge's answer to this request, body included.
///
/// It runs as a task of its own on the current runtime, because warp refuses a service that is polled
/// inside another one's handler. Dropping the call cancels the handler at its next await.
pub async fn call(edge: &Edge, request: http::Request<Bytes>) -> http::Response<Bytes> {
    let mut edge = edge.clone();
    let mut task = JoinSet::new();
    task.spawn(async move {
        let Ok(response) = edge.call(request.map(Full::new)).await;
        collected(response).await
    });
    match task.join_next().await {
        Some(Ok(response)) => response,
        // Only a runtime that is shutting down ends the task early.
        Some(Err(_)) | None => collected(Problem::internal("the call was cancelled").into_response()).await,
    }
}

async fn collected(response: Response) -> http::Response<Bytes> {
    let (head, body) = response.into_parts();
    let body = body.collect().await.expect("a body of bytes in memory cannot fail");
    http::Response::from_parts(head, body.to_bytes())
}
