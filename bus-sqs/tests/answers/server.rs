//! A server that answers as it is told, in the JSON protocol of SQS, and keeps what it was asked.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// What it says to one call.
pub(crate) enum Answer {
    /// What a server with every queue and no message says.
    Usual,
    Done(Value),
    /// Status, code, message.
    Fault(u16, &'static str, &'static str),
    /// What a gateway says, which knows no protocol.
    Page(u16),
    /// The same, later.
    Late(Duration, Box<Answer>),
}

/// One call: its action and its body.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) action: String,
    pub(crate) body: Value,
}

impl Asked {
    pub(crate) fn entries(&self) -> Vec<Value> {
        self.body["Entries"].as_array().cloned().unwrap_or_default()
    }
}

type Script = dyn Fn(&Asked, usize) -> Answer + Send + Sync;

struct Desk {
    script: Box<Script>,
    asked: Mutex<Vec<Asked>>,
    port: u16,
}

/// Ends when dropped.
pub(crate) struct Server {
    desk: Arc<Desk>,
    _tasks: JoinSet<()>,
}

impl Server {
    /// `script` answers a call; the number says how often its action was asked before.
    pub(crate) async fn start(script: impl Fn(&Asked, usize) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has free ports");
        let port = listener.local_addr().expect("bound").port();
        let desk = Arc::new(Desk { script: Box::new(script), asked: Mutex::default(), port });
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, Arc::clone(&desk)));
        Self { desk, _tasks: tasks }
    }

    pub(crate) fn port(&self) -> u16 {
        self.desk.port
    }

    /// Calls of one action so far.
    pub(crate) fn asked(&self, action: &str) -> Vec<Asked> {
        let asked = self.desk.asked.lock().expect("no script panics");
        asked.iter().filter(|asked| asked.action == action).cloned().collect()
    }

    /// Waits until an action was asked `count` times.
    pub(crate) async fn until(&self, action: &str, count: usize) {
        while self.asked(action).len() < count {
            pause(Duration::from_millis(5)).await;
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "a real socket is waited for")]
pub(crate) async fn pause(duration: Duration) {
    tokio::time::sleep(duration).await;
}

async fn accept(listener: TcpListener, desk: Arc<Desk>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        connections.spawn(serve(stream, Arc::clone(&desk)));
    }
}

async fn serve(mut stream: TcpStream, desk: Arc<Desk>) {
    let mut read = Vec::new();
    while let Some(asked) = request(&mut stream, &mut read).await {
        let before = {
            let mut log = desk.asked.lock().expect("no script panics");
            let before = log.iter().filter(|known| known.action == asked.action).count();
            log.push(asked.clone());
            before
        };
        let (status, headers, body) = answer((desk.script)(&asked, before), &asked, desk.port).await;
        let head = format!(
            "HTTP/1.1 {status} X\r\ncontent-type: application/x-amz-json-1.0\r\n{headers}content-length: {}\r\n\r\n",
            body.len()
        );
        if stream.write_all((head + &body).as_bytes()).await.is_err() {
            return;
        }
    }
}

async fn request(stream: &mut TcpStream, read: &mut Vec<u8>) -> Option<Asked> {
    loop {
        let text = String::from_utf8_lossy(read).to_lowercase();
        if let Some(end) = text.find("\r\n\r\n") {
            let header = |name: &str| text[..end].lines().find_map(|line| line.strip_prefix(name).map(str::trim));
            let length: usize = header("content-length:").and_then(|length| length.parse().ok()).unwrap_or_default();
            if read.len() >= end + 4 + length {
                let head = String::from_utf8_lossy(&read[..end]).into_owned();
                let action = head.split("AmazonSQS.").nth(1).and_then(|rest| rest.split_whitespace().next());
                let action = action.expect("an SQS call").to_owned();
                let body = serde_json::from_slice(&read[end + 4..end + 4 + length]).expect("JSON");
                read.drain(..end + 4 + length);
                return Some(Asked { action, body });
            }
        }
        if stream.read_buf(read).await.ok()? == 0 {
            return None;
        }
    }
}

async fn answer(answer: Answer, asked: &Asked, port: u16) -> (u16, String, String) {
    match answer {
        Answer::Usual => (200, String::new(), usual(asked, port).await.to_string()),
        Answer::Done(body) => (200, String::new(), body.to_string()),
        Answer::Fault(status, code, message) => {
            let body = json!({"__type": format!("com.amazonaws.sqs#{code}"), "message": message});
            (status, format!("x-amzn-query-error: {code};Sender\r\n"), body.to_string())
        }
        Answer::Page(status) => (status, String::new(), "<html>gateway</html>".to_owned()),
        Answer::Late(after, later) => {
            pause(after).await;
            Box::pin(self::answer(*later, asked, port)).await
        }
    }
}

async fn usual(asked: &Asked, port: u16) -> Value {
    match asked.action.as_str() {
        "GetQueueUrl" | "CreateQueue" => {
            json!({"QueueUrl": format!("http://127.0.0.1:{port}/0/{}", asked.body["QueueName"].as_str().unwrap_or_default())})
        }
        "GetQueueAttributes" => {
            json!({"Attributes": {"VisibilityTimeout": "30", "QueueArn": "arn:q", "RedrivePolicy": "{}"}})
        }
        "ReceiveMessage" => {
            pause(Duration::from_secs(asked.body["WaitTimeSeconds"].as_u64().unwrap_or_default())).await;
            json!({})
        }
        _ => done(&asked.entries()),
    }
}

/// Success for these entries.
pub(crate) fn done(entries: &[Value]) -> Value {
    batch(entries, &[])
}

/// Success for `done`, and each failed entry with code and whose fault it is.
pub(crate) fn batch(done: &[Value], failed: &[(&Value, &str, bool)]) -> Value {
    let done = done.iter().map(|entry| json!({"Id": entry["Id"], "MessageId": "b-1", "MD5OfMessageBody": ""}));
    let failed = failed.iter().map(|(entry, code, sender_fault)| {
        json!({"Id": entry["Id"], "Code": code, "SenderFault": sender_fault, "Message": "as told"})
    });
    json!({"Successful": done.collect::<Vec<_>>(), "Failed": failed.collect::<Vec<_>>()})
}

/// What a receive brings: one message for each body, its receipt the body.
pub(crate) fn messages(bodies: &[&str]) -> Value {
    let messages = bodies.iter().map(|body| {
        json!({"MessageId": format!("id-{body}"), "ReceiptHandle": body, "Body": body,
               "Attributes": {"ApproximateReceiveCount": "1"}})
    });
    json!({"Messages": messages.collect::<Vec<_>>()})
}
