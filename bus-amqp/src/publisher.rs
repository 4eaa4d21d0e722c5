//! The one task that publishes: a window of messages on their way to confirmation.
//!
//! Confirms are awaited together; one awaited after the other is a hundred times slower.

use std::sync::Arc;
use std::time::Duration;

use bus::pipeline::Backoff;
use bus::{ClockExt, Error, ErrorKind, Message, MessageId};
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, Stream, StreamExt};
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use lapin::{BasicProperties, Channel, Confirmation, Connection, Event};
use tokio::sync::mpsc;

use crate::connect::dial;
use crate::error::{closed, told};
use crate::returned::Returned;
use crate::shared::Shared;
use crate::traffic::Purpose;

/// Messages sent and not confirmed. Quorum queues confirm by the batch, after a sync of the disk.
const WINDOW_COUNT: usize = 2_048;
/// Messages handed in and not sent.
pub(crate) const QUEUED_COUNT: usize = 256;
/// Pauses between attempts to connect.
const RETRY: Backoff = Backoff { first: Duration::from_millis(100), max: Duration::from_secs(5) };
/// How long answers may come after the connection is known to be gone.
const LAST_ANSWERS: Duration = Duration::from_secs(1);

/// One message for a queue.
pub(crate) struct Job {
    /// Where it stands in its batch.
    pub(crate) place: usize,
    pub(crate) queue: Arc<str>,
    pub(crate) message: Message,
    pub(crate) properties: BasicProperties,
    pub(crate) answers: mpsc::UnboundedSender<(usize, Answer)>,
}

/// What became of it.
pub(crate) enum Answer {
    Accepted,
    /// No queue of that name.
    Returned,
    Refused(Error),
    Unknown(Error),
}

/// A job on its way, without what was sent.
struct Sent {
    place: usize,
    queue: Arc<str>,
    message_id: MessageId,
    answers: mpsc::UnboundedSender<(usize, Answer)>,
    answer: lapin::Result<Confirmation>,
}

/// Publishes until the bus closes and nothing is left.
pub(crate) async fn run(shared: Arc<Shared>, mut jobs: mpsc::Receiver<Job>) {
    let mut failure_count = 0;
    loop {
        let opened = tokio::select! {
            biased;
            () = shared.closing.cancelled() => break,
            opened = open(&shared) => opened,
            () = refuse(&shared, &mut jobs), if failure_count > 0 => break,
        };
        let error = match opened {
            Ok((connection, channel)) => {
                failure_count = 0;
                shared.traffic.serves(Purpose::Publish);
                match serve(&shared, &connection, &channel, &mut jobs).await {
                    Some(error) => error,
                    None => return farewell(&shared, &connection).await,
                }
            }
            Err(error) => {
                failure_count += 1;
                error
            }
        };
        shared.traffic.troubled(Purpose::Publish, &error);
        let pause = RETRY.delay(failure_count.max(1), shared.seams.entropy.as_ref(), "amqp connect", "publish");
        tokio::select! {
            biased;
            () = shared.closing.cancelled() => break,
            () = shared.seams.clock.sleep(pause) => {}
            () = refuse(&shared, &mut jobs), if failure_count > 0 => break,
        }
    }
    jobs.close();
    while let Some(job) = jobs.recv().await {
        answer(&job.answers, job.place, Answer::Refused(closed("publish")));
    }
}

async fn farewell(shared: &Shared, connection: &Connection) {
    // What is already gone needs no goodbye.
    let _ = shared.seams.clock.timeout(LAST_ANSWERS, connection.close(200, "closed".into())).await;
}

/// Answers jobs while there is no connection. Ends when no more can come.
async fn refuse(shared: &Shared, jobs: &mut mpsc::Receiver<Job>) {
    while let Some(job) = jobs.recv().await {
        let text = format!("not connected to RabbitMQ, nothing was sent: {}", shared.traffic.state());
        let error = Error::new(ErrorKind::Unavailable, "publish", text);
        answer(&job.answers, job.place, Answer::Refused(error));
    }
}

async fn open(shared: &Shared) -> bus::Result<(Connection, Channel)> {
    let connection = dial(&shared.options, &shared.seams, Purpose::Publish).await?;
    let opening = async {
        let channel = connection.create_channel().await?;
        channel.confirm_select(ConfirmSelectOptions::default()).await?;
        Ok(channel)
    };
    let opened = shared.seams.clock.timeout_here(shared.options.timeout, opening).await;
    let text = "RabbitMQ did not open a channel in time";
    let opened = opened.ok_or_else(|| crate::error::timed_out("connect", text))?;
    opened.map(|channel| (connection, channel)).map_err(|failure| told(&failure, "connect"))
}

/// Publishes on one channel until it is lost, which is answered, or the bus closes.
async fn serve(
    shared: &Shared,
    connection: &Connection,
    channel: &Channel,
    jobs: &mut mpsc::Receiver<Job>,
) -> Option<Error> {
    let mut events = Box::pin(connection.events_listener());
    // Nobody is told of what happened before there was a listener.
    if !(connection.status().connected() && channel.status().connected()) {
        return Some(Error::new(ErrorKind::Unavailable, "publish", "the connection was lost at once"));
    }
    let mut window = FuturesUnordered::new();
    let mut returned = Returned::default();
    let mut settled = Vec::new();
    let mut incoming = Vec::new();
    loop {
        let room = WINDOW_COUNT.saturating_sub(window.len());
        tokio::select! {
            biased;
            Some(event) = events.next() => match event {
                Event::ConnectionBlocked(reason) => shared.traffic.blocked(&reason),
                Event::ConnectionUnblocked => shared.traffic.unblocked(),
                Event::Error(failure) => {
                    let last = finish(channel, &mut window, &mut returned, &mut settled);
                    let _ = shared.seams.clock.timeout_here(LAST_ANSWERS, last).await;
                    return Some(told(&failure, "publish"));
                }
                _ => {}
            },
            Some(sent) = window.next(), if !window.is_empty() => {
                settled.push(sent);
                while !settled.is_empty() {
                    conclude(channel, &mut window, &mut returned, &mut settled);
                }
            }
            count = jobs.recv_many(&mut incoming, room), if room > 0 => {
                debug_assert!(count > 0, "the bus keeps a sender");
                for job in incoming.drain(..) {
                    match unsendable(shared, channel) {
                        Some(error) => answer(&job.answers, job.place, Answer::Refused(error)),
                        None => window.push(send(channel, job)),
                    }
                }
            }
            () = shared.closing.cancelled() => {
                finish(channel, &mut window, &mut returned, &mut settled).await;
                return None;
            }
        }
    }
}

/// Why nothing can be sent now.
fn unsendable(shared: &Shared, channel: &Channel) -> Option<Error> {
    if let Some(reason) = shared.traffic.blocked_by() {
        let text = format!("RabbitMQ takes no messages until its alarm lifts ({reason}); nothing was sent");
        return Some(Error::new(ErrorKind::Throttled, "publish", text));
    }
    if channel.status().connected() {
        return None;
    }
    let text = "the connection to RabbitMQ was lost; nothing was sent";
    Some(Error::new(ErrorKind::Unavailable, "publish", text))
}

async fn send(channel: &Channel, job: Job) -> Sent {
    let Job { place, queue, message, properties, answers } = job;
    let message_id = message.id().clone();
    let mandatory = BasicPublishOptions { mandatory: true, immediate: false };
    let sending = channel.basic_publish("".into(), (&*queue).into(), mandatory, message.body(), properties);
    let sent = sending.await;
    // The client has copied it.
    drop(message);
    let answer = match sent {
        Ok(confirm) => confirm.await,
        Err(failure) => Err(failure),
    };
    Sent { place, queue, message_id, answers, answer }
}

/// Answers what is confirmed by now.
///
/// lapin gives a returned message to whichever confirm it handles next, which is often another's. It
/// does so at the latest with the returned message's own confirm, and handles all confirms of one
/// frame under a lock. So a confirm is believed once that lock was free and everything that came
/// until then was looked at.
fn conclude(
    channel: &Channel,
    window: &mut (impl Stream<Item = Sent> + Unpin),
    returned: &mut Returned,
    settled: &mut Vec<Sent>,
) {
    drain(window, settled);
    let believable_count = settled.len();
    // Takes and frees the lock; what it would wait for is of no interest.
    let _ = channel.wait_for_confirms().now_or_never();
    drain(window, settled);
    for sent in settled.iter_mut() {
        if let Ok(Confirmation::Ack(message) | Confirmation::Nack(message)) = &mut sent.answer
            && let Some(message) = message.take()
        {
            returned.add(message.routing_key.clone(), message.properties.message_id().clone());
        }
    }
    for sent in settled.drain(..believable_count) {
        let outcome = match sent.answer {
            Ok(Confirmation::Ack(_)) if returned.take(&sent.queue, &sent.message_id) => Answer::Returned,
            Ok(Confirmation::Ack(_)) => Answer::Accepted,
            Ok(Confirmation::Nack(_)) => {
                let text = "RabbitMQ could not store the message";
                Answer::Refused(Error::new(ErrorKind::Unavailable, "publish", text))
            }
            Ok(Confirmation::NotRequested) => {
                Answer::Unknown(Error::new(ErrorKind::Unexpected, "publish", "the channel confirms nothing"))
            }
            Err(failure) => Answer::Unknown(told(&failure, "publish")),
        };
        answer(&sent.answers, sent.place, outcome);
    }
}

fn drain(window: &mut (impl Stream<Item = Sent> + Unpin), settled: &mut Vec<Sent>) {
    while let Some(Some(sent)) = window.next().now_or_never() {
        settled.push(sent);
    }
}

/// Waits for all that is under way.
async fn finish(
    channel: &Channel,
    window: &mut (impl Stream<Item = Sent> + Unpin),
    returned: &mut Returned,
    settled: &mut Vec<Sent>,
) {
    loop {
        conclude(channel, window, returned, settled);
        match window.next().await {
            Some(sent) => settled.push(sent),
            None if settled.is_empty() => return,
            None => {}
        }
    }
}

fn answer(answers: &mpsc::UnboundedSender<(usize, Answer)>, place: usize, answer: Answer) {
    // Whoever asked may have gone: then nobody is to be told.
    let _ = answers.send((place, answer));
}
