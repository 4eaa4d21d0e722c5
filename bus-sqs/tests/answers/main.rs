//! What becomes of each answer a server may give, shown on one that answers as it is told.

mod publishing;
mod receiving;
mod server;
mod settling;

use std::sync::Arc;

use bus::{Bus, BusUrl, Destination, Message, MessageId, Outgoing, Receiver, Seams, SubscribeOptions, Subscription};
use bus_sqs::{SqsBus, SqsOptions};

use server::Server;

async fn bus(server: &Server, options: &str) -> Arc<SqsBus> {
    bus_with(server, options, Seams::system()).await
}

async fn bus_with(server: &Server, options: &str, seams: Seams) -> Arc<SqsBus> {
    let url = format!("sqs://ap-northeast-2?endpoint=http://127.0.0.1:{}&wait=1s{options}", server.port());
    let url = BusUrl::parse(&url).expect("a URL");
    SqsBus::open(SqsOptions::of(&url).expect("legal"), seams).await
}

fn orders() -> Destination {
    Destination::new("orders").expect("legal")
}

/// A message whose id and body are `text`.
fn outgoing(text: &str) -> Outgoing {
    Outgoing::new(orders(), Message::new(MessageId::parse(text).expect("legal"), text.as_bytes().to_vec()))
}

async fn receiver(bus: &SqsBus, options: SubscribeOptions) -> Arc<dyn Receiver> {
    bus.subscribe(&Subscription::to(orders()), options).await.expect("subscribed")
}
