//! What the order system does when a side is down, messages go astray or decisions cross.

use std::sync::Arc;
use std::time::Duration;

use bus::{Bus, BusExt, ClockExt, Message, MessageId, Outgoing, ReceiverExt, SubscribeOptions, Subscription};
use http::StatusCode;
use services::consumer::ports::{Answer, LocalBooks, Stock, StockLevels};
use services::domain::Money;
use services::domain::OrderNumber;
use tests::world::{Between, World, in_virtual_time, order_queue, sync_queue};

const PATIENCE: Duration = Duration::from_secs(300);

fn dead_letter_count(world: &World) -> usize {
    let count = |queue: bus::Destination| {
        let dead_letters = Subscription::to(queue.dead_letters().expect("a legal name"));
        world.bus.depth_now(&dead_letters).expect("declared with its queue").ready_count
    };
    count(order_queue()) + count(sync_queue())
}

fn waiting_count(world: &World, queue: bus::Destination) -> usize {
    let depth = world.bus.depth_now(&Subscription::to(queue)).expect("declared");
    depth.ready_count + depth.delayed_count + depth.in_flight_count
}

async fn publish(world: &World, queue: bus::Destination, id: &str, body: &str) {
    let message = Message::foreign(MessageId::parse(id).expect("an id"), body.to_owned());
    assert!(world.bus.publish_one(Outgoing::new(queue, message)).await.is_accepted());
}

/// Sum of the payments the client shows as text.
fn net(payments: &str) -> f64 {
    payments.split_whitespace().map(|amount| amount.parse::<f64>().expect("a number")).sum()
}

#[test]
fn while_the_producer_does_not_listen_nothing_is_dead_lettered_and_then_everything_catches_up() {
    in_virtual_time(async {
        let world = World::new(2);
        let client = world.client();
        world
            .alongside(async {
                client.place("warm-up", "tea", 1, "1.00").await;
                world.network.put_between(Between::ClosedPort);
                let mut numbers = Vec::new();
                for index in 0..20 {
                    numbers.push(client.order(&format!("key-{index}"), "tea", 1, "1.00").await);
                    world.seams.clock.sleep(Duration::from_secs(30)).await;
                }
                for number in &numbers {
                    assert_eq!(
                        client.consumer(&format!("/api/synced-orders/{number}")).await,
                        None,
                        "nothing can be fetched"
                    );
                    let order =
                        client.producer(&format!("/api/orders/{number}")).await.expect("the customer still reaches it");
                    assert_eq!(order["status"], "PENDING", "no result can be brought");
                }
                assert_eq!(dead_letter_count(&world), 0);
                world.network.put_between(Between::Nothing);
                for number in &numbers {
                    client.settled(number, "COMPLETED", PATIENCE).await.expect("caught up");
                }
                assert_eq!(dead_letter_count(&world), 0);
            })
            .await;
    });
}

#[test]
fn an_order_cancelled_after_processing_and_before_its_result_arrives_is_undone() {
    in_virtual_time(async {
        let world = World::new(3);
        let client = world.client();
        world
            .alongside(async {
                client.place("warm-up", "tea", 1, "1.00").await;
                world.seams.clock.sleep(Duration::from_secs(1)).await;
                world.network.put_between(Between::ClosedPort);
                let number = client.order("key", "tea", 3, "2.50").await;
                let processed = format!("/api/processed-orders/{number}");
                while client.consumer(&processed).await.is_none_or(|row| row["status"] != "COMPLETED") {
                    world.seams.clock.sleep(Duration::from_millis(100)).await;
                }
                let (status, cancelled) = client.post(&format!("/api/orders/{number}/cancel")).await.expect("answered");
                assert_eq!((status, &cancelled["status"]), (StatusCode::OK, &"CANCELLED".into()));
                world.network.put_between(Between::Nothing);
                client.settled(&number, "CANCELLED", PATIENCE).await.expect("both sides agree");
                let (stock, payments, shipments) = client.books(&number).await;
                assert_eq!((stock, net(&payments), shipments), (0, 0.0, 0), "{payments}");
            })
            .await;
    });
}

/// The refusal of the result says that it changed, the cache that it did not: neither is to be believed
/// for good.
#[test]
fn an_old_answer_after_a_refused_result_is_no_contradiction() {
    in_virtual_time(async {
        let world = World::new(12);
        let client = world.client();
        world
            .alongside(async {
                client.place("warm-up", "tea", 1, "1.00").await;
                world.seams.clock.sleep(Duration::from_secs(1)).await;
                world.network.put_between(Between::ClosedPort);
                let number = client.order("key", "tea", 2, "10.00").await;
                world.seams.clock.sleep(Duration::from_secs(5)).await;
                let (status, _) = client.post(&format!("/api/orders/{number}/cancel")).await.expect("answered");
                assert_eq!(status, StatusCode::OK);
                world.network.put_between(Between::OldAnswers);
                world.seams.clock.sleep(Duration::from_secs(60)).await;
                world.network.put_between(Between::Nothing);
                client.settled(&number, "CANCELLED", PATIENCE).await.expect("undone in the end");
                let (stock, payments, shipments) = client.books(&number).await;
                assert_eq!((stock, shipments), (0, 0), "what was sold is back");
                assert_eq!(net(&payments), 0.0, "what was paid is paid back");
            })
            .await;
    });
}

#[test]
fn a_cancellation_after_the_result_is_a_conflict_and_repeating_one_is_not() {
    in_virtual_time(async {
        let world = World::new(4);
        let client = world.client();
        world
            .alongside(async {
                let number = client.order("key", "tea", 1, "1.00").await;
                client.settled(&number, "COMPLETED", PATIENCE).await.expect("completed");
                let (status, _) = client.post(&format!("/api/orders/{number}/cancel")).await.expect("answered");
                assert_eq!(status, StatusCode::CONFLICT);
                assert_eq!(client.books(&number).await, (-1, "1.0".to_owned(), 1));
            })
            .await;
    });
}

#[test]
fn an_order_cancelled_before_anybody_processes_it_leaves_no_trace_in_the_books() {
    in_virtual_time(async {
        let world = World::new(5);
        let client = world.client();
        let number = tokio::select! {
            biased;
            number = async {
                let number = client.order("key", "tea", 1, "1.00").await;
                client.post(&format!("/api/orders/{number}/cancel")).await.expect("answered");
                assert_eq!(client.post(&format!("/api/orders/{number}/cancel")).await.expect("answered").0, StatusCode::OK);
                number
            } => number,
            () = world.producer() => unreachable!("runs until dropped"),
        };
        world
            .alongside(async {
                client.settled(&number, "CANCELLED", PATIENCE).await.expect("both sides agree");
                let (stock, payments, shipments) = client.books(&number).await;
                assert_eq!((stock, net(&payments), shipments), (0, 0.0, 0), "{payments}");
            })
            .await;
    });
}

#[test]
fn what_cannot_be_delivered_or_paid_fails_on_both_sides_with_its_reason_and_empty_books() {
    in_virtual_time(async {
        let mut world = World::new(6);
        world.stock = StockLevels::new([("rare".to_owned(), 1)].into());
        world.payment_limit = Some(Money::from_hundredths(100_000));
        let client = world.client();
        world
            .alongside(async {
                for (product, quantity, price, reason) in
                    [("rare", 2, "1.00", "OUT_OF_STOCK"), ("tea", 10, "100.01", "PAYMENT_DECLINED")]
                {
                    let number = client.order(reason, product, quantity, price).await;
                    client.settled(&number, "FAILED", PATIENCE).await.expect("failed on both sides");
                    let order = client.producer(&format!("/api/orders/{number}")).await.expect("the producer answers");
                    assert_eq!(order["failureReason"], reason);
                    let (stock, payments, shipments) = client.books(&number).await;
                    assert_eq!((stock, net(&payments), shipments), (0, 0.0, 0), "{payments}");
                }
                let number = client.order("one left", "rare", 1, "1.00").await;
                client.settled(&number, "COMPLETED", PATIENCE).await.expect("the last one is sold");
                let books = client.consumer("/api/books").await.expect("the consumer answers");
                assert_eq!(books["products"]["rare"]["onHand"], 0, "{books}");
            })
            .await;
    });
}

#[test]
fn strange_messages_are_noted_or_kept_as_dead_letters_and_never_block_the_queue() {
    in_virtual_time(async {
        let world = World::new(7);
        let client = world.client();
        world
            .alongside(async {
                client.place("warm-up", "tea", 1, "1.00").await;
                let unknown_type = r#"{"eventType":"ORDER_ARCHIVED","entityKey":"ORD-1"}"#;
                publish(&world, sync_queue(), "m-1", unknown_type).await;
                let unknown_order = r#"{"eventType":"ORDER_UPDATED","entityKey":"ORD-1"}"#;
                publish(&world, sync_queue(), "m-2", unknown_order).await;
                publish(&world, sync_queue(), "m-3", "{broken").await;
                publish(&world, order_queue(), "m-4", r#"{"orderNumber":"X-1"}"#).await;
                let number = client.order("key", "tea", 1, "1.00").await;
                client.settled(&number, "COMPLETED", PATIENCE).await.expect("the queues flow");
                assert_eq!(dead_letter_count(&world), 2, "the two unreadable ones, at once");
                assert_eq!((waiting_count(&world, sync_queue()), waiting_count(&world, order_queue())), (0, 0));
            })
            .await;
    });
}

#[test]
fn an_order_of_a_foreign_producer_is_processed_once_and_stays_here() {
    in_virtual_time(async {
        let world = World::new(8);
        let client = world.client();
        world.alongside(async {
            client.place("warm-up", "tea", 1, "1.00").await;
            let order =
                r#"{"orderNumber":"ORD-JAVA-1","productName":"coffee","quantity":2,"price":"7.50","messageId":"j-1"}"#;
            for broker_id in ["b-1", "b-2"] {
                publish(&world, order_queue(), broker_id, order).await;
            }
            let path = "/api/processed-orders/ORD-JAVA-1";
            while client.consumer(path).await.is_none_or(|row| row["foreign"] != true) {
                world.seams.clock.sleep(Duration::from_millis(100)).await;
            }
            assert_eq!(client.books("ORD-JAVA-1").await, (-2, "15.0".to_owned(), 1));
            assert_eq!(dead_letter_count(&world), 0);
        })
        .await;
    });
}

#[test]
fn an_order_whose_messages_were_lost_is_found_by_the_reconciler() {
    in_virtual_time(async {
        let world = World::new(9);
        let client = world.client();
        let number = tokio::select! {
            biased;
            number = async {
                let number = client.order("key", "tea", 1, "1.00").await;
                while waiting_count(&world, sync_queue()) == 0 {
                    world.seams.clock.sleep(Duration::from_millis(10)).await;
                }
                for queue in [order_queue(), sync_queue()] {
                    swallow_one(&world, queue).await;
                }
                number
            } => number,
            () = world.producer() => unreachable!("runs until dropped"),
        };
        world
            .alongside(async {
                client.settled(&number, "COMPLETED", PATIENCE).await.expect("reconciled");
                assert_eq!(client.books(&number).await, (-1, "1.0".to_owned(), 1));
            })
            .await;
    });
}

/// The first step is done before the first row about the order: whoever died in between left no other
/// trace than in the books.
#[test]
fn a_cancelled_order_whose_message_died_half_way_is_undone_by_the_reconciler() {
    in_virtual_time(async {
        let world = World::new(13);
        let client = world.client();
        let number = tokio::select! {
            biased;
            number = async {
                let number = client.order("key", "tea", 2, "1.00").await;
                client.post(&format!("/api/orders/{number}/cancel")).await.expect("answered");
                world.seams.clock.sleep(Duration::from_secs(1)).await;
                swallow_one(&world, order_queue()).await;
                number
            } => number,
            () = world.producer() => unreachable!("runs until dropped"),
        };
        let books = LocalBooks::new(Arc::clone(&world.consumer_store) as _, world.stock.clone(), None);
        let order_number = OrderNumber::parse(&number).expect("a number");
        assert_eq!(books.reserve(&order_number, "tea", 2).await.expect("it answers"), Answer::Done);
        world
            .alongside(async {
                client.settled(&number, "CANCELLED", PATIENCE).await.expect("called off");
                let (stock, payments, shipments) = client.books(&number).await;
                assert_eq!((stock, net(&payments), shipments), (0, 0.0, 0), "{payments}");
            })
            .await;
    });
}

#[test]
fn a_404_of_a_proxy_without_a_producer_loses_no_result() {
    in_virtual_time(async {
        let world = World::new(10);
        let client = world.client();
        world
            .alongside(async {
                client.place("warm-up", "tea", 1, "1.00").await;
                world.seams.clock.sleep(Duration::from_secs(1)).await;
                world.network.put_between(Between::LostProxy);
                let number = client.order("key", "tea", 1, "1.00").await;
                world.seams.clock.sleep(PATIENCE).await;
                let row =
                    client.consumer(&format!("/api/processed-orders/{number}")).await.expect("processed meanwhile");
                assert_eq!((&row["status"], &row["foreign"]), (&"COMPLETED".into(), &false.into()), "{row}");
                world.network.put_between(Between::Nothing);
                client.settled(&number, "COMPLETED", PATIENCE).await.expect("the result was kept");
                assert_eq!(dead_letter_count(&world), 0);
            })
            .await;
    });
}

#[test]
fn a_result_that_contradicts_the_producers_stops_no_other_order_from_being_mended() {
    in_virtual_time(async {
        let world = World::new(11);
        let client = world.client();
        world
            .alongside(async {
                client.place("warm-up", "tea", 1, "1.00").await;
                world.seams.clock.sleep(Duration::from_secs(1)).await;
                world.network.put_between(Between::ClosedPort);
                let number = client.order("key", "tea", 1, "1.00").await;
                world.seams.clock.sleep(Duration::from_secs(5)).await;
                let result = serde_json::json!({"status": "FAILED", "expectedVersion": 1, "messageId": "m",
                "processedAt": "2025-09-01T00:51:07Z", "failureReason": "OUT_OF_STOCK"});
                assert_eq!(client.put_result(&number, &result).await, StatusCode::OK);
                world.network.put_between(Between::Nothing);
                world.seams.clock.sleep(PATIENCE).await;
                let row = client.consumer(&format!("/api/processed-orders/{number}")).await.expect("processed");
                assert_eq!((&row["status"], &row["resultAcknowledged"]), (&"COMPLETED".into(), &true.into()), "{row}");
                let other = client.order("other", "tea", 1, "1.00").await;
                client.settled(&other, "COMPLETED", PATIENCE).await.expect("goes its way");
                let (status, done) = client.reconcile().await;
                assert_eq!((status, &done["resent"]), (StatusCode::OK, &0.into()), "nothing is left to bring: {done}");
            })
            .await;
    });
}

/// Loses the one message that waits in `queue`.
async fn swallow_one(world: &World, queue: bus::Destination) {
    let subscription = Subscription::to(queue);
    let receiver = world.bus.subscribe(&subscription, SubscribeOptions::default()).await.expect("declared");
    let mut deliveries = Vec::new();
    receiver.receive(1, &mut deliveries).await.expect("one waits");
    for delivery in deliveries {
        assert!(receiver.settle_one(delivery.ack()).await.is_settled());
    }
    receiver.close().await;
}
