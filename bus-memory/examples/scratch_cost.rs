use bus::*;
use bus_memory::*;
use bytes::Bytes;
fn main() {
    let rt = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    rt.block_on(async {
        let seams = Seams::system();
        let bus = MemoryBus::new(seams.clone(), MemoryOptions::default());
        let orders = Destination::new("orders").unwrap();
        bus.declare(&[Declaration::of(orders.clone())]).await.unwrap();
        let r = bus.subscribe(&Subscription::to(orders.clone()), SubscribeOptions::default()).await.unwrap();
        let headers: Headers = [("a", "1"), ("b", "2"), ("c", "3"), ("d", "4")].into_iter().collect();
        let keys: Vec<_> = (0..4096).map(|n| MessageKey::new(&format!("ORD-{n}")).unwrap()).collect();
        let id = seams.message_id("x");
        let (mut make, mut publish, mut receive, mut settle) = (0u128, 0u128, 0u128, 0u128);
        let n = 20000;
        let mut into = Vec::new();
        let now = || seams.clock.now().since_origin();
        for i in 0..n {
            let t0 = now();
            let batch: Vec<Outgoing> = (0..64)
                .map(|j| {
                    Outgoing::new(
                        orders.clone(),
                        Message::new(id.clone(), Bytes::copy_from_slice(&[7u8; 1024]))
                            .with_key(keys[(i * 64 + j) % 4096].clone())
                            .with_headers(headers.clone()),
                    )
                })
                .collect();
            let t1 = now();
            let _ = bus.publish(batch).await;
            let t2 = now();
            r.receive(256, &mut into).await.unwrap();
            let t3 = now();
            let _ = r.settle(into.drain(..).map(Delivery::ack).collect()).await;
            let t4 = now();
            make += (t1 - t0).as_nanos();
            publish += (t2 - t1).as_nanos();
            receive += (t3 - t2).as_nanos();
            settle += (t4 - t3).as_nanos();
        }
        let m = (n * 64) as u128;
        println!("make {} publish {} receive {} settle {} ns", make / m, publish / m, receive / m, settle / m);
    });
}
