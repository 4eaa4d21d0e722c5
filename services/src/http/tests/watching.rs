//! Requests as they are counted and traced.

use std::time::Duration;

use bus::metrics::Registry;
use bus::metrics::prometheus_client::encoding::text::encode;
use bus::{ClockExt, Seams, TraceContext};

use super::*;
use crate::http::{Metering, TRACESTATE_BYTES_MAX};

/// An edge that counts what it answers.
struct Metered {
    registry: Registry,
    seams: Seams,
    edge: Edge,
    app: Arc<App>,
}

impl Metered {
    fn new() -> Self {
        let seams = Seams::repeatable(jiff::Timestamp::UNIX_EPOCH, 1);
        let (app, mut registry) = (Arc::default(), Registry::default());
        let edge = router(&app).metered_by(Metering::register(&mut registry, &seams)).into_edge();
        Self { registry, seams, edge, app }
    }

    /// The lines that begin so, sorted.
    fn lines(&self, beginning: &str) -> Vec<String> {
        let mut page = String::new();
        encode(&mut page, &self.registry).unwrap();
        let mut lines: Vec<String> =
            page.lines().filter(|line| line.starts_with(beginning)).map(ToOwned::to_owned).collect();
        lines.sort();
        lines
    }
}

#[tokio::test(start_paused = true)]
async fn requests_are_counted_by_method_route_and_status_whatever_the_path_is() {
    let metered = Metered::new();
    for (method, path) in [
        (Method::GET, "/things/one"),
        (Method::GET, "/things/two"),
        (Method::HEAD, "/things/two"),
        (Method::GET, "/nowhere"),
        (Method::GET, "/else%2"),
        (Method::from_bytes(b"BREW").unwrap(), "/things/one"),
        (Method::GET, "/explode"),
        (Method::GET, "/secret"),
    ] {
        in_process::call(&metered.edge, request(method, path)).await;
    }
    let expected = [
        r#"{method="GET",route="(none)",status="400"} 1"#,
        r#"{method="GET",route="(none)",status="404"} 1"#,
        r#"{method="GET",route="/explode",status="500"} 1"#,
        r#"{method="GET",route="/secret",status="401"} 1"#,
        r#"{method="GET",route="/things/{name}",status="200"} 2"#,
        r#"{method="HEAD",route="/things/{name}",status="200"} 1"#,
        r#"{method="_OTHER",route="/things/{name}",status="405"} 1"#,
    ];
    let name = "http_server_request_duration_seconds_count";
    assert_eq!(metered.lines(name), expected.map(|labels| format!("{name}{labels}")));
}

#[tokio::test(start_paused = true)]
async fn a_request_is_timed_until_its_answer_and_counted_while_it_runs() {
    let metered = Metered::new();
    let hold = in_process::call(&metered.edge, request(Method::GET, "/hold"));
    let meanwhile = async {
        metered.app.entered.notified().await;
        assert_eq!(metered.lines("http_server_active_requests "), ["http_server_active_requests 1"]);
        metered.seams.clock.sleep(Duration::from_secs(3)).await;
        metered.app.release.notify_one();
    };
    tokio::join!(hold, meanwhile);
    assert_eq!(metered.lines("http_server_active_requests "), ["http_server_active_requests 0"]);
    let sum = r#"http_server_request_duration_seconds_sum{method="GET",route="/hold",status="200"} 3.0"#;
    assert_eq!(metered.lines("http_server_request_duration_seconds_sum"), [sum]);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_leaves_is_counted_as_cancelled() {
    let metered = Metered::new();
    let hold = in_process::call(&metered.edge, request(Method::GET, "/hold"));
    tokio::select! {
        biased;
        _ = hold => unreachable!("it is held"),
        () = metered.app.entered.notified() => {}
    }
    // The dropped call's task ends as soon as this one rests.
    metered.seams.clock.sleep(Duration::from_millis(1)).await;
    let counted = r#"http_server_request_duration_seconds_count{method="GET",route="/hold",status="cancelled"} 1"#;
    assert_eq!(metered.lines("http_server_request_duration_seconds_count"), [counted]);
    assert_eq!(metered.lines("http_server_active_requests "), ["http_server_active_requests 0"]);
}

/// The trace a handler runs in, as a `traceparent`, with the length of its state.
async fn told(_: Arc<App>, _: Request) -> Answer {
    let current = TraceContext::current();
    json(StatusCode::OK, &current.map(|it| (it.traceparent(), it.state().map_or(0, Bytes::len))))
}

async fn trace(path: &str, headers: &[(&str, &str)]) -> Option<(String, usize)> {
    let seams = Seams::repeatable(jiff::Timestamp::UNIX_EPOCH, 1);
    let router = Router::new(Arc::<App>::default()).traced_by(seams);
    let router = router.resource(Resource::at("/told").get(told)).resource(Resource::at("/watch").get(told).uncapped());
    let mut request = http::Request::get(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let answer = in_process::call(&router.into_edge(), request.body(Bytes::new()).unwrap()).await;
    serde_json::from_slice(answer.body()).unwrap()
}

const PARENT: (&str, &str) = ("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00");

#[tokio::test(start_paused = true)]
async fn a_handler_runs_in_a_span_of_the_callers_trace() {
    let (told, state_bytes) = trace("/told", &[PARENT, ("tracestate", "congo=t61rcWkgMzE")]).await.unwrap();
    assert!(told.starts_with("00-4bf92f3577b34da6a3ce929d0e0e4736-") && told.ends_with("-00"), "{told}");
    assert!(!told.contains("00f067aa0ba902b7"), "a span of its own: {told}");
    assert_eq!(state_bytes, "congo=t61rcWkgMzE".len());
}

#[tokio::test(start_paused = true)]
async fn a_state_longer_than_must_be_passed_on_is_not() {
    let check = async |state_bytes: usize, expected| {
        let state = "a".repeat(state_bytes);
        assert_eq!(trace("/told", &[PARENT, ("tracestate", &state)]).await.unwrap().1, expected);
    };
    check(TRACESTATE_BYTES_MAX, TRACESTATE_BYTES_MAX).await;
    check(TRACESTATE_BYTES_MAX + 1, 0).await;
}

#[tokio::test(start_paused = true)]
async fn a_request_without_a_legal_trace_begins_one_that_is_sampled() {
    for headers in [&[][..], &[("traceparent", "00-0-0-00")], &[PARENT, PARENT]] {
        let (told, _) = trace("/told", headers).await.unwrap();
        assert!(!told.contains("4bf92f3577b34da6a3ce929d0e0e4736") && told.ends_with("-01"), "{headers:?}: {told}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_only_watches_is_in_no_trace() {
    assert_eq!(trace("/watch", &[PARENT]).await, None);
}
