use http::StatusCode;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use warp::Filter;
use warp::filters::BoxedFilter;

use super::{ANSWER_BYTES_MAX, BaseUrl, FailureKind, Peer};

fn peer(url: &str, token: Option<&str>) -> Peer {
    Peer::new(url.parse().expect("a URL"), token.map(Into::into)).expect("a client")
}

async fn serving<T: warp::Reply + 'static>(routes: BoxedFilter<(T,)>) -> (String, JoinSet<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a loopback port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let mut server = JoinSet::new();
    server.spawn(warp::serve(routes).incoming(listener).run());
    (url, server)
}

#[test]
fn a_base_url_is_printed_without_its_trailing_slash() {
    let check = |text: &str, printed: &str, route: &str| {
        let base: BaseUrl = text.parse().expect("a URL");
        assert_eq!(base.to_string(), printed);
        assert_eq!(base.route(&["api", "a/b"], &[("after", "1 2")]).as_str(), route);
    };
    check("http://h:8080/", "http://h:8080", "http://h:8080/api/a%2Fb?after=1+2");
    check("http://h/orders/", "http://h/orders", "http://h/orders/api/a%2Fb?after=1+2");
}

#[test]
fn an_unusable_base_url_is_refused_without_repeating_its_password() {
    let check = |text: &str, said: &str| {
        let error = text.parse::<BaseUrl>().expect_err(text);
        assert!(error.contains(said) && !error.contains("hunter2"), "{error}");
    };
    check("https://127.0.0.1", "http only");
    check("http://me:hunter2@127.0.0.1", "--sync-token");
    check("127.0.0.1:8080", "http://127.0.0.1:8080");
    check("localhost:8080", "http://127.0.0.1:8080");
    check("http://h/?a=b", "without `?`");
}

#[tokio::test]
async fn the_token_and_the_body_arrive() {
    let echo = warp::header::<String>("authorization")
        .and(warp::body::bytes())
        .map(|token: String, body: bytes::Bytes| format!("[{token:?},{}]", String::from_utf8_lossy(&body)));
    let (url, _server) = serving(echo.or(warp::any().map(|| "none".to_owned())).unify().boxed()).await;
    let reply = peer(&url, Some("s3cret")).put(&["x"], &7).await.expect("an answer");
    assert_eq!(reply.json::<(String, u8)>().expect("JSON"), ("Bearer s3cret".to_owned(), 7));
    let reply = peer(&url, None).get(&["x"], &[]).await.expect("an answer");
    assert_eq!(reply.body(), b"none");
}

#[tokio::test]
async fn an_endless_answer_is_not_read_to_its_end() {
    let (url, _server) = serving(warp::any().map(|| vec![b' '; ANSWER_BYTES_MAX + 1]).boxed()).await;
    let failure = peer(&url, None).get(&[], &[]).await.expect_err("too large");
    assert_eq!(failure.kind(), FailureKind::TooLarge);
}

#[tokio::test]
async fn a_redirect_is_an_answer_and_a_closed_port_a_failure() {
    let elsewhere = warp::any().map(|| warp::redirect(warp::http::Uri::from_static("http://192.0.2.1/")));
    let (url, server) = serving(elsewhere.boxed()).await;
    let reply = peer(&url, None).get(&[], &[]).await.expect("an answer");
    assert_eq!(reply.status(), StatusCode::MOVED_PERMANENTLY);
    drop((server, reply));
    // Nothing may listen on port 1, and asking it needs no server that was just stopped.
    let failure = peer("http://127.0.0.1:1", None).get(&["livez"], &[]).await.expect_err("closed");
    assert_eq!(failure.kind(), FailureKind::Unreachable);
    assert_eq!(failure.url(), "http://127.0.0.1:1/livez");
    assert!(failure.cause().contains("refused"), "{failure}");
}
