//! Paths, methods, queries, guards and handlers, in process.

use tokio::sync::Barrier;

use super::*;

#[track_caller]
fn allow(response: &http::Response<Bytes>) -> &str {
    response.headers()["allow"].to_str().unwrap()
}

#[tokio::test]
async fn an_unknown_path_is_a_404_problem_at_that_path() {
    for uri in ["/", "/thing", "/things/", "/things/a/b", "//things", "/things//", "/{name}"] {
        let response = in_process::call(&edge(), request(Method::GET, uri)).await;
        assert_eq!(problem(&response, StatusCode::NOT_FOUND)["instance"], uri);
    }
}

#[tokio::test]
async fn a_wrong_method_is_told_the_right_ones() {
    let brew = Method::from_bytes(b"BREW").unwrap();
    for method in [Method::POST, Method::DELETE, Method::TRACE, brew] {
        let response = in_process::call(&edge(), request(method, "/things/one")).await;
        problem(&response, StatusCode::METHOD_NOT_ALLOWED);
        assert_eq!(allow(&response), "GET, HEAD, PUT, OPTIONS");
    }
}

#[tokio::test]
async fn options_lists_the_methods_without_running_one() {
    let response = in_process::call(&edge(), request(Method::OPTIONS, "/explode")).await;
    assert_eq!((response.status(), allow(&response)), (StatusCode::NO_CONTENT, "GET, HEAD, OPTIONS"));
}

#[tokio::test]
async fn head_is_get_without_its_body() {
    let edge = edge();
    let get = in_process::call(&edge, request(Method::GET, "/things/one")).await;
    let head = in_process::call(&edge, request(Method::HEAD, "/things/one")).await;
    assert_eq!((head.status(), head.body().len()), (StatusCode::OK, 0));
    assert_eq!(head.headers()["content-length"], get.body().len().to_string());
    let missing = in_process::call(&edge, request(Method::HEAD, "/nothing")).await;
    assert_eq!((missing.status(), missing.body().len()), (StatusCode::NOT_FOUND, 0));
}

#[tokio::test]
async fn a_path_segment_arrives_decoded() {
    for (uri, name) in [("/things/a%2Fb", "a/b"), ("/things/%EC%A3%BC", "주"), ("/things/a+b", "a+b")] {
        let response = in_process::call(&edge(), request(Method::GET, uri)).await;
        let shown: Value = serde_json::from_slice(response.body()).unwrap();
        assert_eq!(shown[0], name);
    }
}

#[tokio::test]
async fn a_path_or_query_that_is_not_percent_encoded_utf_8_is_a_400() {
    for uri in ["/things/%zz", "/things/%ff", "/things/100%", "/things/one?limit=%f"] {
        let response = in_process::call(&edge(), request(Method::GET, uri)).await;
        problem(&response, StatusCode::BAD_REQUEST);
    }
}

#[tokio::test]
async fn a_bad_query_names_its_parameter() {
    for query in ["limit=0", "limit=1&limit=2", "limits=1"] {
        let uri = format!("/things/one?{query}");
        let response = in_process::call(&edge(), request(Method::GET, &uri)).await;
        let detail = problem(&response, StatusCode::BAD_REQUEST)["detail"].clone();
        assert!(detail.as_str().unwrap().contains("`limit"), "{detail}");
    }
}

#[tokio::test]
async fn a_guarded_resource_opens_only_to_its_token() {
    for authorization in [None, Some("Bearer guess"), Some("Basic s3cret")] {
        let mut request = request(Method::GET, "/secret");
        if let Some(value) = authorization {
            request.headers_mut().insert("authorization", value.parse().unwrap());
        }
        let response = in_process::call(&edge(), request).await;
        problem(&response, StatusCode::UNAUTHORIZED);
        assert_eq!(response.headers()["www-authenticate"], "Bearer");
    }
    let app = Arc::<App>::default();
    app.release.notify_one();
    let mut request = request(Method::GET, "/secret");
    request.headers_mut().insert("authorization", "Bearer s3cret".parse().unwrap());
    let response = in_process::call(&router(&app).into_edge(), request).await;
    assert_eq!(response.status(), StatusCode::OK);
}

#[tokio::test]
async fn a_panic_is_a_500_that_keeps_its_secret_and_the_edge_goes_on() {
    let edge = edge();
    let response = in_process::call(&edge, request(Method::GET, "/explode")).await;
    problem(&response, StatusCode::INTERNAL_SERVER_ERROR);
    assert!(!String::from_utf8_lossy(response.body()).contains("secret"));
    let response = in_process::call(&edge, request(Method::GET, "/things/one")).await;
    assert_eq!(response.status(), StatusCode::OK);
}

#[tokio::test]
async fn above_the_cap_requests_are_told_when_to_retry_and_health_still_answers() {
    let app = Arc::<App>::default();
    let edge = router(&app).in_flight_max(1).into_edge();
    let held = in_process::call(&edge, request(Method::GET, "/hold"));
    let meanwhile = async {
        app.entered.notified().await;
        let refused = in_process::call(&edge, request(Method::GET, "/things/one")).await;
        problem(&refused, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(refused.headers()["retry-after"], "1");
        let alive = in_process::call(&edge, request(Method::GET, "/livez")).await;
        assert_eq!(alive.status(), StatusCode::OK);
        app.release.notify_one();
    };
    let (held, ()) = tokio::join!(held, meanwhile);
    assert_eq!(held.status(), StatusCode::OK);
    let after = in_process::call(&edge, request(Method::GET, "/things/one")).await;
    assert_eq!(after.status(), StatusCode::OK);
}

#[tokio::test]
async fn a_thousand_posts_run_at_once_and_all_are_answered() {
    async fn meet(everyone: Arc<Barrier>, _: Request) -> Answer {
        everyone.wait().await;
        Ok(empty(StatusCode::CREATED))
    }
    let things = Resource::at("/things").post(meet);
    let edge = Router::new(Arc::new(Barrier::new(1_000))).resource(things).into_edge();
    let calls = (0..1_000).map(|number| in_process::call(&edge, post(number.to_string())));
    let responses = futures_util::future::join_all(calls).await;
    assert!(responses.iter().all(|response| response.status() == StatusCode::CREATED));
}

#[tokio::test]
async fn a_handler_may_call_another_edge_in_process() {
    let inner = edge();
    let outer = Resource::at("/outer").get(move |_, _| {
        let inner = inner.clone();
        async move {
            let response = in_process::call(&inner, request(Method::GET, "/things/one")).await;
            Ok(empty(response.status()))
        }
    });
    let edge = Router::new(Arc::new(())).resource(outer).into_edge();
    let response = in_process::call(&edge, request(Method::GET, "/outer")).await;
    assert_eq!(response.status(), StatusCode::OK);
}

#[test]
#[should_panic(expected = "two resources have the same paths")]
fn two_resources_at_the_same_paths_are_refused_at_start() {
    let _ = router(&Arc::default()).resource(Resource::at("/things/{other}").get(hold));
}
