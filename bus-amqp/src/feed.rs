//! The task of one receiver: keeps a channel open and puts what comes into the buffer.

use std::sync::Arc;
use std::time::Duration;

use bus::dead_letter::{self, Rejection};
use bus::pipeline::Backoff;
use bus::{ClockExt, Delivery, Error, ErrorKind, Lease, Result};
use futures_util::{FutureExt, StreamExt};
use lapin::options::{BasicCancelOptions, BasicConsumeOptions, BasicQosOptions};
use lapin::types::FieldTable;
use lapin::{Channel, Consumer as Stream};
use tracing::{info, warn};

use crate::config::QueueKind;
use crate::connect::Line;
use crate::consumer::Consumer;
use crate::convert::{Read, raw, read};
use crate::error::{timed_out, told};
use crate::settle;
use crate::traffic::Purpose;

/// Pauses between attempts to subscribe.
const RETRY: Backoff = Backoff { first: Duration::from_millis(100), max: Duration::from_secs(5) };
/// How long a polite end of a channel may take; then the server is left to notice.
const GOODBYE: Duration = Duration::from_secs(5);

/// Why a channel is no longer used.
enum End {
    Closed,
    Lost(Error),
}

/// Feeds `consumer` until it is closed.
pub(crate) async fn feed(consumer: Arc<Consumer>) {
    let mut failure_count = 0;
    while !consumer.closing.is_cancelled() {
        let subscribed = tokio::select! {
            biased;
            // Without a channel there is nothing to give back and nothing to settle.
            () = consumer.stopping.cancelled() => break,
            subscribed = subscribe(&consumer) => subscribed,
        };
        let error = match subscribed {
            Err(error) => error,
            Ok((line, mut stream)) => {
                let end = pump(&consumer, &line, &mut stream).await;
                // Nothing of this channel can be settled from here on; the server gives it back.
                consumer.lose();
                match end {
                    End::Closed => {
                        say_goodbye(&consumer, &line).await;
                        // Not before: a subscription that is dropped is cancelled in the background, and the client
                        // takes a channel that closes meanwhile for a failure of the whole connection.
                        drop(stream);
                        break;
                    }
                    End::Lost(error) => {
                        failure_count = 0;
                        error
                    }
                }
            }
        };
        if consumer.stopping.is_cancelled() {
            // Nothing is received any more, so nothing is taken up again.
            consumer.shared.link.note_loss(&error).await;
            break;
        }
        failure_count += 1;
        tell(&consumer, error).await;
        let entropy = consumer.shared.seams.entropy.as_ref();
        let pause = RETRY.delay(failure_count, entropy, "amqp subscribe", &consumer.subscription.to_string());
        tokio::select! {
            biased;
            () = consumer.closing.cancelled() => {}
            () = consumer.shared.seams.clock.sleep(pause) => {}
        }
    }
    consumer.lose();
    consumer.ended.cancel();
}

async fn tell(consumer: &Consumer, error: Error) {
    let shared = &consumer.shared;
    shared.link.note_loss(&error).await;
    warn!(subscription = %consumer.subscription, %error, "the subscription is interrupted; it is taken up again");
    if error.kind() != ErrorKind::NotFound {
        return;
    }
    shared.queues.forget(consumer.subscription.destination().as_str());
    if let Err(error) = shared.queues.recover(consumer.subscription.destination()).await {
        warn!(subscription = %consumer.subscription, %error, "the queue is gone and could not be made again");
    }
}

async fn subscribe(consumer: &Arc<Consumer>) -> Result<(Line, Stream)> {
    let shared = &consumer.shared;
    let line = shared.link.line("receive").await?;
    let channel = &line.channel;
    let subscribing = async {
        // Without a limit the server sends everything it has.
        channel.basic_qos(consumer.prefetch_count, BasicQosOptions::default()).await?;
        let queue = consumer.subscription.destination().as_str();
        channel.basic_consume(queue.into(), "".into(), BasicConsumeOptions::default(), FieldTable::default()).await
    };
    let subscribed = shared.seams.clock.timeout_here(shared.options.timeout, subscribing).await;
    let subscribed = subscribed.ok_or_else(|| timed_out("receive", "RabbitMQ did not answer in time"))?;
    let stream = subscribed.map_err(|failure| told(&failure, "receive"))?;
    consumer.begin(channel.clone());
    shared.traffic.serves(Purpose::Consume);
    info!(subscription = %consumer.subscription, prefetch_count = consumer.prefetch_count, "subscribed");
    Ok((line, stream))
}

async fn pump(consumer: &Arc<Consumer>, line: &Line, stream: &mut Stream) -> End {
    let mut is_cancelled = false;
    // The stream tells of its end once, which may be together with its last deliveries.
    let mut end = None;
    loop {
        let next = match end.take() {
            Some(end) => end,
            None => tokio::select! {
                biased;
                () = consumer.closing.cancelled() => return End::Closed,
                () = consumer.stopping.cancelled(), if !is_cancelled => {
                    is_cancelled = true;
                    // What is sent until the server knows comes through the stream, and goes back.
                    let cancelling = line.channel.basic_cancel(stream.tag(), BasicCancelOptions::default());
                    let _ = consumer.shared.seams.clock.timeout_here(GOODBYE, cancelling).await;
                    consumer.give_back_all();
                    continue;
                }
                () = consumer.returns.notified() => {
                    consumer.give_back_all();
                    let purges = consumer.take_purges();
                    if !purges.is_empty() {
                        // What was sent before the queue was emptied has come when this is answered.
                        round_trip(consumer, &line.channel).await;
                        end = take_in_all(consumer, stream, Vec::new());
                        consumer.purge_buffer();
                    }
                    continue;
                }
                next = stream.next() => next,
            },
        };
        match next {
            Some(Ok(delivery)) => {
                end = take_in_all(consumer, stream, vec![delivery]);
                consumer.changed.notify_waiters();
                if is_cancelled {
                    consumer.give_back_all();
                }
            }
            Some(Err(failure)) => return End::Lost(told(&failure, "receive")),
            // The server cancelled the consumer because the queue is gone, or we did.
            None if is_cancelled => return until_lost(consumer, line).await,
            None => {
                let error = Error::new(ErrorKind::Unavailable, "receive", "the server ended the subscription");
                return End::Lost(error);
            }
        }
    }
}

/// After a stop: gives back what is dropped, until the end. The stream of a cancelled consumer has
/// ended and tells of no loss.
async fn until_lost(consumer: &Consumer, line: &Line) -> End {
    loop {
        let happens = consumer.shared.link.happens();
        if !line.is_open() {
            return End::Lost(Error::new(ErrorKind::Unavailable, "receive", "the channel is gone"));
        }
        tokio::select! {
            biased;
            () = consumer.closing.cancelled() => return End::Closed,
            () = consumer.returns.notified() => {
                consumer.give_back_all();
                // Nothing is sent any more, and what was is given back.
                drop(consumer.take_purges());
            }
            () = happens => {}
        }
    }
}

/// A question that changes nothing. A channel answers in order: what was sent on it before has arrived
/// there, and what the server sent before its answer has arrived here.
pub(crate) async fn round_trip(consumer: &Consumer, channel: &Channel) {
    // Asked again, a limit holds for consumers to come (RabbitMQ, consumer prefetch); there are none.
    let asking = channel.basic_qos(consumer.prefetch_count, BasicQosOptions::default());
    // Whoever needs the channel hears of its loss elsewhere.
    let _ = consumer.shared.seams.clock.timeout_here(GOODBYE, asking).await;
}

/// Takes in what came, and with it what has come meanwhile, which costs no further wake-up. Answers the
/// end of the stream where it was met.
fn take_in_all(
    consumer: &Arc<Consumer>,
    stream: &mut Stream,
    mut came: Vec<lapin::message::Delivery>,
) -> Option<Option<lapin::Result<lapin::message::Delivery>>> {
    let end = loop {
        match stream.next().now_or_never() {
            Some(Some(Ok(delivery))) => came.push(delivery),
            end => break end,
        }
    };
    take_in(consumer, came);
    end
}

fn take_in(consumer: &Arc<Consumer>, came: Vec<lapin::message::Delivery>) {
    let counts = consumer.shared.options.queue == QueueKind::Quorum;
    let mut readable = Vec::with_capacity(came.len());
    for mut delivery in came {
        match read(&mut delivery) {
            Ok(read) => readable.push((delivery.delivery_tag, read)),
            // It is in the table before later ones are, so that no acknowledgement of theirs covers it.
            Err(reason) => quarantine(consumer, &delivery, &reason),
        }
    }
    // Under one lock: a settlement of others waits for it once.
    let mut state = consumer.state();
    for (tag, Read { message, received_before }) in readable {
        let receive_count = counts.then_some(received_before.saturating_add(1));
        let token = state.table.add(tag, message.clone(), received_before);
        let lease = Lease { deadline: None };
        state.buffer.push_back(Delivery::new(message, token, lease, receive_count, Arc::clone(consumer) as _));
    }
}

/// To the dead letters with its bytes and the reason; the next one flows meanwhile.
fn quarantine(consumer: &Arc<Consumer>, delivery: &lapin::message::Delivery, reason: &str) {
    let mut message = raw(delivery);
    let (subscription, at) = (&consumer.subscription, consumer.shared.seams.clock.wall());
    warn!(%subscription, reason, "a message could not be read; it goes to the dead letters");
    dead_letter::mark(&mut message, &Rejection { subscription, reason, receive_count: None, at });
    let token = {
        let mut state = consumer.state();
        let token = state.table.add(delivery.delivery_tag, message.clone(), 0);
        state.table.occupy(token);
        token
    };
    let consumer = Arc::clone(consumer);
    let tasks = consumer.shared.tasks.clone();
    tasks.spawn(async move { settle::bury(&consumer, token, message).await });
}

/// Cancels, and closes the channel with a round trip: what was settled before has arrived then.
async fn say_goodbye(consumer: &Consumer, line: &Line) {
    let closing = line.channel.close(200, "closed".into());
    let is_closed = consumer.shared.seams.clock.timeout_here(GOODBYE, closing).await;
    if !matches!(is_closed, Some(Ok(()))) && line.is_open() {
        warn!(subscription = %consumer.subscription, "the channel did not close in time; its last settlements are uncertain");
    }
}
