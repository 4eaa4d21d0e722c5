//! The last resort: rejections of hand-written warp filters.

use http_body_util::{BodyExt, Full};
use tower_service::Service;
use warp::{Filter, Reply};

use super::*;
use crate::http::{Problem, recover};

#[derive(Debug)]
struct Unknown;
impl warp::reject::Reject for Unknown {}

async fn answered<F>(filter: F) -> http::Response<Bytes>
where
    F: Filter<Error = warp::Rejection> + Clone + Send + Sync + 'static,
    F::Extract: Reply,
{
    let request = request(Method::POST, "/here").map(Full::new);
    let Ok(response) = warp::service(filter.recover(recover)).call(request).await;
    let (head, body) = response.into_parts();
    http::Response::from_parts(head, body.collect().await.unwrap().to_bytes())
}

#[tokio::test]
async fn every_rejection_is_a_problem() {
    let ok = || "ok";
    problem(&answered(warp::path("there").map(ok)).await, StatusCode::NOT_FOUND);
    problem(&answered(warp::get().map(ok)).await, StatusCode::METHOD_NOT_ALLOWED);
    problem(&answered(warp::header::exact("x", "y").map(ok)).await, StatusCode::BAD_REQUEST);
    problem(&answered(warp::body::content_length_limit(1).map(ok)).await, StatusCode::BAD_REQUEST);
    let json = warp::body::json().map(|value: Value| value.to_string());
    problem(&answered(json).await, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn a_rejection_that_carries_a_problem_answers_with_it() {
    let rejecting =
        warp::any().and_then(async || Err::<&str, _>(warp::reject::custom(Problem::conflict("already decided"))));
    let response = answered(rejecting).await;
    assert_eq!(problem(&response, StatusCode::CONFLICT)["detail"], "already decided");
}

#[tokio::test]
async fn an_unknown_rejection_is_a_500_that_does_not_name_it() {
    let rejecting = warp::any().and_then(async || Err::<&str, _>(warp::reject::custom(Unknown)));
    let response = answered(rejecting).await;
    problem(&response, StatusCode::INTERNAL_SERVER_ERROR);
    assert!(!String::from_utf8_lossy(response.body()).contains("Unknown"));
}
