//! The life of a connection: keep-alive, the cap, and the drain.

use futures_util::FutureExt;

use super::*;

const HOLD: &[u8] = b"GET /hold HTTP/1.1\r\nhost: a\r\n\r\n";
const SHOW: &[u8] = b"GET /things/one HTTP/1.1\r\nhost: a\r\n\r\n";
const ANSWER: &str = "[\"one\",null]";

/// Reads until the answer to [`SHOW`] has arrived whole.
async fn read_answer(stream: &mut TcpStream) {
    let mut read = Vec::new();
    while !read.ends_with(ANSWER.as_bytes()) {
        assert_ne!(stream.read_buf(&mut read).await.unwrap(), 0, "closed early");
    }
}

#[tokio::test]
async fn a_connection_carries_one_request_after_another() {
    let server = Server::start(Limits::default()).await;
    let mut stream = server.send(SHOW).await;
    read_answer(&mut stream).await;
    stream.write_all(SHOW).await.unwrap();
    read_answer(&mut stream).await;
}

#[tokio::test]
async fn a_client_may_close_its_side_and_wait() {
    let server = Server::start(Limits::default()).await;
    let mut stream = server.send(HOLD).await;
    stream.shutdown().await.unwrap();
    server.app.entered.notified().await;
    server.app.release.notify_one();
    check_raw(&read_all(stream).await, 200, "\r\n\r\n");
}

#[tokio::test]
async fn head_over_a_socket_announces_a_length_it_does_not_send() {
    let server = Server::start(Limits::default()).await;
    let stream = server.send(b"HEAD /things/one HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await;
    let response = read_all(stream).await;
    check_raw(&response, 200, &format!("content-length: {}\r\n", ANSWER.len()));
    assert!(response.ends_with("\r\n\r\n"), "{response}");
}

#[tokio::test]
async fn a_head_that_never_ends_is_a_431() {
    let server = Server::start(Limits::default()).await;
    let stream = server.send(format!("GET / HTTP/1.1\r\nx: {}\r\n\r\n", "x".repeat(40_000)).as_bytes()).await;
    check_raw(&read_all(stream).await, 431, "\r\n\r\n");
}

#[tokio::test]
async fn a_connection_over_the_cap_waits_until_another_ends() {
    let server = Server::start(Limits { connections_max: 1, ..Limits::default() }).await;
    let mut first = server.send(SHOW).await;
    read_answer(&mut first).await;
    let mut second = server.send(SHOW).await;
    // From here the clock jumps when nobody can go on, which ends the first one's idling.
    tokio::time::pause();
    read_answer(&mut second).await;
    let ended = first.read(&mut [0]).now_or_never().expect("the first one ended before");
    assert_eq!(ended.unwrap(), 0);
}

#[tokio::test]
async fn a_drain_finishes_what_runs_and_refuses_what_comes() {
    let server = Server::start(Limits::default()).await;
    let mut idle = server.send(SHOW).await;
    read_answer(&mut idle).await;
    let running = server.send(HOLD).await;
    server.app.entered.notified().await;
    server.stop.cancel();
    while TcpStream::connect(server.address).await.is_ok() {
        tokio::task::yield_now().await;
    }
    assert_eq!(read_all(idle).await, "");
    server.app.release.notify_one();
    check_raw(&read_all(running).await, 200, "connection: close");
    assert_eq!(server.stopped().await, 0);
}

#[tokio::test]
async fn a_drain_cuts_off_at_its_deadline_and_says_how_many() {
    let server = Server::start(Limits::default()).await;
    let running = server.send(HOLD).await;
    server.app.entered.notified().await;
    tokio::time::pause();
    assert_eq!(server.stopped().await, 1);
    assert_eq!(read_all(running).await, "");
}

#[tokio::test]
async fn a_panic_ends_neither_the_server_nor_the_connection() {
    let server = Server::start(Limits::default()).await;
    let mut stream = server.send(b"GET /explode HTTP/1.1\r\nhost: a\r\n\r\n").await;
    let mut read = Vec::new();
    while !read.ends_with(b"}") {
        assert_ne!(stream.read_buf(&mut read).await.unwrap(), 0, "closed early");
    }
    check_raw(&String::from_utf8(read).unwrap(), 500, "problem+json");
    stream.write_all(SHOW).await.unwrap();
    read_answer(&mut stream).await;
}
