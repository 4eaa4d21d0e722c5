//! Troubles, and what is said about them.

use std::time::Duration;

use bus::{
    Bus, BusExt, BusState, BusUrl, Declaration, Destination, ErrorKind, Message, Outgoing, PublishOutcome, Seams,
};
use bus_sqs::{SqsBus, SqsOptions};
use tests::brokers::{Proxy, url};

async fn bus(url: &str) -> std::sync::Arc<SqsBus> {
    let url = BusUrl::parse(url).expect("a URL");
    SqsBus::open(SqsOptions::of(&url).expect("legal"), Seams::system()).await
}

pub(crate) async fn each_trouble_says_what_to_do() {
    let orders = Destination::new("errors-orders").expect("legal");
    let declaration = [Declaration::of(orders.clone())];
    let outgoing = |destination: &Destination| {
        let id = Seams::system().message_id("errors");
        Outgoing::new(destination.clone(), Message::new(id, &b"{}"[..]))
    };

    let nobody = bus("sqs://ap-northeast-2?endpoint=http://127.0.0.1:9").await;
    let error = nobody.declare(&declaration).await.expect_err("nobody listens");
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.to_string().contains("start the server or check `endpoint`"), "{error}");

    let server = bus(&url("sqs")).await;
    let missing = Destination::new("errors-missing").expect("legal");
    let outcome = server.publish_one(outgoing(&missing)).await;
    let PublishOutcome::Refused(error) = outcome else { panic!("{outcome:?}") };
    assert_eq!((error.kind(), error.is_retryable()), (ErrorKind::NotFound, false));
    assert!(error.to_string().contains("declare it first"), "{error}");

    server.declare(&declaration).await.expect("declared");
    let elsewhere = bus(&url("sqs").replace("ap-northeast-2", "us-east-1")).await;
    let outcome = elsewhere.publish_one(outgoing(&orders)).await;
    assert!(matches!(&outcome, PublishOutcome::Refused(error) if error.kind() == ErrorKind::NotFound), "{outcome:?}");

    // Cut off after the connection is there: the call may have arrived.
    let port = url("sqs").rsplit(':').next().and_then(|port| port.parse().ok()).expect("a port");
    let proxy = Proxy::before(port).await;
    let through = bus(&format!("sqs://ap-northeast-2?endpoint=http://{}", proxy.address())).await;
    assert!(through.publish_one(outgoing(&orders)).await.is_accepted());
    proxy.stall();
    let outcome = through.publish_one(outgoing(&orders)).await;
    assert!(matches!(&outcome, PublishOutcome::Unknown(error) if error.kind() == ErrorKind::Timeout), "{outcome:?}");
    assert!(matches!(through.state(), BusState::Down(_)), "readiness shows it");
    proxy.restore();
    assert!(through.publish_one(outgoing(&orders)).await.is_accepted());
    assert_eq!(through.state(), BusState::Up);
    for bus in [nobody, server, elsewhere, through] {
        bus.close(Duration::from_secs(10)).await.expect("closed in time");
    }
}
