//! What the edge promises, in process and over loopback sockets.

mod bodies;
mod connections;
mod health;
mod rejections;
mod routes;
mod slow_clients;
mod watching;

use std::sync::Arc;

use bytes::Bytes;
use http::{Method, StatusCode};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::server::{self, Limits};
use super::{Answer, Bearer, Edge, Request, Resource, Router, empty, in_process, json};

/// An application with just enough behaviour to see the edge through it.
#[derive(Default)]
struct App {
    entered: Notify,
    release: Notify,
}

async fn echo(_: Arc<App>, request: Request) -> Answer {
    let body: Value = request.json()?;
    json(StatusCode::CREATED, &body)
}

async fn show(_: Arc<App>, request: Request) -> Answer {
    let limit = request.query(&["limit"])?.number("limit", 1..=500)?;
    json(StatusCode::OK, &(request.param("name"), limit))
}

async fn hold(app: Arc<App>, _: Request) -> Answer {
    app.entered.notify_one();
    app.release.notified().await;
    Ok(empty(StatusCode::OK))
}

async fn explode(_: Arc<App>, _: Request) -> Answer {
    panic!("the secret of the handler")
}

/// More than both sockets' buffers hold.
async fn flood(app: Arc<App>, _: Request) -> Answer {
    app.entered.notify_one();
    Ok(super::json_bytes(StatusCode::OK, vec![b'0'; 64 << 20].into()))
}

fn router(app: &Arc<App>) -> Router<App> {
    Router::new(Arc::clone(app))
        .resource(Resource::at("/things").post(echo))
        .resource(Resource::at("/things/{name}").get(show).put(echo))
        .resource(Resource::at("/hold").get(hold))
        .resource(Resource::at("/explode").get(explode))
        .resource(Resource::at("/flood").get(flood))
        .resource(Resource::at("/secret").get(hold).guarded_by(Bearer::new("s3cret".into())))
        .resource(super::health::livez())
}

fn edge() -> Edge {
    router(&Arc::default()).into_edge()
}

fn request(method: Method, uri: &str) -> http::Request<Bytes> {
    http::Request::builder().method(method).uri(uri).body(Bytes::new()).unwrap()
}

fn post(body: impl Into<Bytes>) -> http::Request<Bytes> {
    let request = http::Request::post("/things").header("content-type", "application/json");
    request.body(body.into()).unwrap()
}

/// The problem in a response, after checking what every problem has.
#[track_caller]
fn problem(response: &http::Response<Bytes>, status: StatusCode) -> Value {
    assert_eq!(response.status(), status, "{response:?}");
    assert_eq!(response.headers()["content-type"], "application/problem+json");
    let problem: Value = serde_json::from_slice(response.body()).unwrap();
    assert_eq!(problem["status"], status.as_u16());
    assert!(problem["title"].is_string() && problem["detail"].is_string(), "{problem}");
    problem
}

/// An edge on a loopback port, until dropped.
struct Server {
    address: std::net::SocketAddr,
    app: Arc<App>,
    stop: CancellationToken,
    serving: JoinSet<usize>,
}

impl Server {
    async fn start(limits: Limits) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (app, stop) = (Arc::<App>::default(), CancellationToken::new());
        let mut serving = JoinSet::new();
        serving.spawn(server::serve(listener, router(&app).into_edge(), limits, stop.clone()));
        Self { address, app, stop, serving }
    }

    /// A connection that has sent these bytes, through a buffer too small to hide whether the server
    /// took them.
    async fn send(&self, bytes: &[u8]) -> TcpStream {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_send_buffer_size(64 * 1024).unwrap();
        let mut stream = socket.connect(self.address).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        stream
    }

    /// How many connections the drain cut off.
    async fn stopped(mut self) -> usize {
        self.stop.cancel();
        self.serving.join_next().await.unwrap().unwrap()
    }
}

/// Everything until the server closes.
async fn read_all(mut stream: TcpStream) -> String {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).await.unwrap();
    String::from_utf8(bytes).unwrap()
}

#[track_caller]
fn check_raw(response: &str, status: u16, part: &str) {
    assert!(response.starts_with(&format!("HTTP/1.1 {status} ")), "{response}");
    assert!(response.contains(part), "{part} is not in {response}");
}
