//! Request bodies: limits, framing, media types and JSON.

use super::*;
use crate::http::{BODY_BYTES_MAX, DRAIN_BYTES_MAX};

const HEAD: &str = "POST /things HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\nconnection: close\r\n";
const TWO_MB: usize = 2 << 20;

/// A JSON string of exactly this many bytes.
fn json_of(bytes: usize) -> String {
    format!("\"{}\"", "x".repeat(bytes - 2))
}

#[tokio::test]
async fn a_body_at_the_limit_is_taken_and_one_byte_more_is_a_413() {
    let taken = in_process::call(&edge(), post(json_of(BODY_BYTES_MAX))).await;
    assert_eq!(taken.status(), StatusCode::CREATED);
    let refused = in_process::call(&edge(), post(json_of(BODY_BYTES_MAX + 1))).await;
    problem(&refused, StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(refused.headers()["connection"], "close");
}

#[tokio::test]
async fn a_client_that_sends_two_megabytes_first_reads_its_413() {
    let server = Server::start(Limits::default()).await;
    let announced = format!("{HEAD}content-length: {TWO_MB}\r\n\r\n{}", json_of(TWO_MB));
    check_raw(&read_all(server.send(announced.as_bytes()).await).await, 413, "problem+json");
    let chunked = format!("{HEAD}transfer-encoding: chunked\r\n\r\n{TWO_MB:x}\r\n{}\r\n0\r\n\r\n", json_of(TWO_MB));
    check_raw(&read_all(server.send(chunked.as_bytes()).await).await, 413, "problem+json");
}

#[tokio::test]
async fn a_client_of_an_unknown_path_that_sends_first_reads_its_404() {
    let server = Server::start(Limits::default()).await;
    let head = HEAD.replace("/things", "/nothing");
    let sent = format!("{head}content-length: {TWO_MB}\r\n\r\n{}", json_of(TWO_MB));
    check_raw(&read_all(server.send(sent.as_bytes()).await).await, 404, "\"instance\":\"/nothing\"");
}

#[tokio::test]
async fn a_client_that_never_stops_sending_is_given_up() {
    let server = Server::start(Limits::default()).await;
    let mut stream = server.send(format!("{HEAD}transfer-encoding: chunked\r\n\r\n").as_bytes()).await;
    let chunk = format!("10000\r\n{}\r\n", "x".repeat(0x10000));
    let mut sent_bytes = 0;
    while stream.write_all(chunk.as_bytes()).await.is_ok() {
        sent_bytes += chunk.len();
        assert!(sent_bytes < 16 * DRAIN_BYTES_MAX, "still reading after {sent_bytes} bytes");
    }
}

#[tokio::test]
async fn a_client_that_asks_before_sending_too_much_is_refused_at_once() {
    let server = Server::start(Limits::default()).await;
    let asked = format!("{HEAD}expect: 100-continue\r\ncontent-length: {TWO_MB}\r\n\r\n");
    check_raw(&read_all(server.send(asked.as_bytes()).await).await, 413, "connection: close");
}

#[tokio::test]
async fn a_chunked_body_needs_no_length() {
    let server = Server::start(Limits::default()).await;
    let chunked = format!("{HEAD}transfer-encoding: chunked\r\n\r\n2\r\n[1\r\n2\r\n2]\r\n0\r\n\r\n");
    // `[1` and `2]` are one array only when they are put together.
    check_raw(&read_all(server.send(chunked.as_bytes()).await).await, 201, "[12]");
}

#[tokio::test]
async fn a_body_that_breaks_off_is_a_400_and_runs_no_handler() {
    let server = Server::start(Limits::default()).await;
    let mut stream = server.send(format!("{HEAD}content-length: 10\r\n\r\n[1]").as_bytes()).await;
    stream.shutdown().await.unwrap();
    check_raw(&read_all(stream).await, 400, "broke off");
}

#[tokio::test]
async fn every_unreadable_json_body_says_why() {
    let deep = format!("{}{}", "[".repeat(500), "]".repeat(500));
    let cases: [(&[u8], &str); 7] = [
        (b"", "empty"),
        (b"\"\xff\"", "UTF-8 from byte 1"),
        (b"{\"a\": }", "line 1 column 7"),
        (b"{\"a\": 1", "line 1 column 7"),
        (b"[1] [2]", "trailing"),
        (b"not json", "malformed"),
        (deep.as_bytes(), "recursion limit"),
    ];
    for (body, part) in cases {
        let response = in_process::call(&edge(), post(body.to_vec())).await;
        let problem = problem(&response, StatusCode::BAD_REQUEST);
        assert!(problem["detail"].as_str().unwrap().contains(part), "{problem}");
    }
}

#[tokio::test]
async fn json_of_another_shape_is_a_422() {
    async fn number(_: Arc<()>, request: Request) -> Answer {
        json(StatusCode::OK, &request.json::<u8>()?)
    }
    let edge = Router::new(Arc::new(())).resource(Resource::at("/things").post(number)).into_edge();
    let response = in_process::call(&edge, post("\"one\"")).await;
    problem(&response, StatusCode::UNPROCESSABLE_ENTITY);
}

#[tokio::test]
async fn a_body_not_declared_as_plain_json_is_a_415() {
    for (name, value) in [("content-type", "text/plain"), ("content-encoding", "gzip")] {
        let mut request = post("{}");
        request.headers_mut().insert(name, value.parse().unwrap());
        problem(&in_process::call(&edge(), request).await, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    }
    let mut request = post("{}");
    request.headers_mut().remove("content-type");
    problem(&in_process::call(&edge(), request).await, StatusCode::UNSUPPORTED_MEDIA_TYPE);
}
