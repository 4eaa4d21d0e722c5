//! Clients that hold on to what they got. Once the runtime's clock is paused it jumps to the next
//! deadline when nobody can go on, so these tests wait for no real time; they pause it only where
//! the deadline they mean is the next one.

use std::time::Duration;

use super::*;

#[tokio::test(start_paused = true)]
async fn a_head_that_does_not_arrive_ends_the_connection() {
    let server = Server::start(Limits::default()).await;
    let stream = server.send(b"GET /things/one HTT").await;
    assert_eq!(read_all(stream).await, "");
}

#[tokio::test]
async fn a_body_that_does_not_arrive_is_a_408() {
    let server = Server::start(Limits::default()).await;
    let head = "POST /things HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 9\r\n\r\n";
    let mut stream = server.send(head.as_bytes()).await;
    let mut invited = [0; "HTTP/1.1 100 Continue\r\n\r\n".len()];
    stream.read_exact(&mut invited).await.unwrap();
    tokio::time::pause();
    let response = read_all(stream).await;
    check_raw(&response, 408, "problem+json");
    check_raw(&response, 408, "connection: close");
}

#[tokio::test]
async fn an_answer_nobody_reads_is_given_up() {
    // The drain would wait an hour: that nothing is left to cut off is the write's own doing.
    let limits = Limits { drain: Duration::from_secs(3_600), ..Limits::default() };
    let server = Server::start(limits).await;
    let unread = server.send(b"GET /flood HTTP/1.1\r\nhost: a\r\n\r\n").await;
    server.app.entered.notified().await;
    tokio::time::pause();
    assert_eq!(server.stopped().await, 0);
    drop(unread);
}
