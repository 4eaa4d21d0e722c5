//! What happens in a run: customers order, faults come, everything is healed, and comes to rest.

use std::time::Duration;

use bus::{ClockExt, Message, Subscription};
use bytes::Bytes;
use futures_util::future::join_all;
use http::{Method, Request, StatusCode};
use serde_json::{Value, json};

use super::evidence::{Evidence, Placed};
use super::fault::Fault;
use super::names::idempotency_key;
use super::onlooker::Onlooker;
use super::plan::Wanted;
use super::scene::{DOWN_TIME, Scene, order_queue, sync_queue};
use super::trouble::Timed;

/// Longest time between the healing and the end of all work, in virtual time.
const RECOVERY_MAX: Duration = Duration::from_secs(600);
/// Longer than a lease, a back-off and a restart: what is still to come has come by then.
const AFTERMATH: Duration = Duration::from_secs(70);
/// A calendar that was two minutes ahead holds the reconciler up for so long.
const WRONG_CALENDAR_MAX: Duration = Duration::from_secs(120);
/// Pause between two looks at something that is expected.
const LOOK_AGAIN_AFTER: Duration = Duration::from_millis(500);

impl Scene {
    /// From the first order until everything is at rest, or has taken too long.
    pub(super) async fn tell(&self) -> Evidence {
        let customers = join_all(self.plan.orders.iter().map(|wanted| self.customer(wanted)));
        let troubles = futures_util::future::join3(self.restarts(), self.calendars(), self.foreigners());
        let heal = async {
            self.sleep_until(self.plan.healed_at()).await;
            self.trouble.heal();
            for machine in [&self.producer, &self.consumer] {
                machine.node.clock().set_ahead(jiff::SignedDuration::ZERO);
                machine.gate.spare();
            }
        };
        let (placed, (_, _, planted), ()) = futures_util::future::join3(customers, troubles, heal).await;
        let mut evidence = Evidence { placed, planted, ..Evidence::default() };
        let mut onlooker = Onlooker::default();
        evidence.came_to_rest = self.rest(&mut onlooker).await;
        if evidence.came_to_rest && self.plan.healed_at_ms > 0 {
            self.world.seams().clock.sleep(self.aftermath()).await;
        }
        // To be asked what became of it all, both must be up; who dies, died before the healing.
        self.world.seams().clock.sleep(2 * DOWN_TIME).await;
        evidence.collect(self).await;
        evidence
    }

    fn aftermath(&self) -> Duration {
        let is_calendar_wrong = |fault| self.plan.faults.contains_key(&fault);
        match [Fault::ClockSkew, Fault::ClockJump].into_iter().any(is_calendar_wrong) {
            true => AFTERMATH + WRONG_CALENDAR_MAX,
            false => AFTERMATH,
        }
    }

    async fn sleep_until(&self, at: Duration) {
        self.world.seams().clock.sleep_until(bus::Moment::from_origin(at)).await;
    }

    /// Orders until it is answered, under one idempotency key; and may think better of it.
    async fn customer(&self, wanted: &Wanted) -> Placed {
        self.sleep_until(Duration::from_millis(wanted.at_ms)).await;
        let body = json!({"customerName": format!("customer {}", wanted.customer), "productName": wanted.product,
            "quantity": wanted.quantity, "price": wanted.price});
        let key = idempotency_key(wanted.customer);
        let accepted = loop {
            let request = Request::post("/api/orders").header("content-type", "application/json");
            let request = request.header("idempotency-key", &key).body(Bytes::from(body.to_string()));
            let answer = self.network.call_producer(request.expect("a request")).await;
            match answer {
                Ok(answer) if answer.status() == StatusCode::CREATED => break read(answer.body()),
                Ok(answer) if !answer.status().is_server_error() => {
                    break json!({"refused": answer.status().as_u16()});
                }
                Ok(_) | Err(_) => self.world.seams().clock.sleep(LOOK_AGAIN_AFTER).await,
            }
        };
        let order_number = accepted["orderNumber"].as_str().unwrap_or_default().to_owned();
        self.world.chronicle().note("customer", "accepted", &order_number, "");
        let told = |what: &str| {
            let name = || [self.trouble.script().stable(&order_number), order_number.clone()];
            self.world.chronicle().tell("customer", what, name);
        };
        told("was promised");
        self.tally.work().accepted += 1;
        if let Some(after) = wanted.cancelled_after_ms {
            self.world.seams().clock.sleep(Duration::from_millis(after)).await;
            let path = format!("/api/orders/{order_number}/cancel");
            // Once: whatever comes of it is right.
            let request = Request::builder().method(Method::POST).uri(path).body(Bytes::new()).expect("a request");
            let answer = self.network.call_producer(request).await;
            drop(answer);
            told("asked to cancel");
        }
        Placed { order_number, wanted: wanted.clone(), answer: accepted }
    }

    /// The broker restarts, partitions move.
    async fn restarts(&self) {
        let mut times: Vec<(Duration, Fault)> = [Fault::BrokerRestart, Fault::Rebalance]
            .into_iter()
            .flat_map(|fault| self.trouble.times(fault).into_iter().map(move |(at, _)| (at, fault)))
            .collect();
        times.sort_unstable();
        for (at, fault) in times {
            self.sleep_until(at).await;
            self.trouble.note(fault, "broker");
            self.broker.restart();
        }
    }

    /// Calendars are wrong from the start, or jump.
    async fn calendars(&self) {
        let chance = self.world.chance();
        let machines = [&self.producer, &self.consumer];
        let milliseconds = |name: &str| {
            let span = i64::try_from(chance.between(0, 240_000, "calendar", name)).unwrap_or(0);
            jiff::SignedDuration::from_millis(span - 120_000)
        };
        if self.plan.faults.contains_key(&Fault::ClockSkew) {
            for machine in machines {
                self.trouble.note(Fault::ClockSkew, machine.node.name());
                machine.node.clock().set_ahead(milliseconds(machine.node.name()));
            }
        }
        for Timed { at, number, .. } in self.trouble.timed(Fault::ClockJump) {
            self.sleep_until(at).await;
            let machine = machines[if number.is_multiple_of(2) { 0 } else { 1 }];
            self.trouble.note(Fault::ClockJump, machine.node.name());
            machine.node.clock().set_ahead(milliseconds(machine.node.name()));
        }
        if self.plan.faults.contains_key(&Fault::Burst) {
            self.trouble.note(Fault::Burst, "customers");
        }
    }

    /// Somebody else's programs send what nobody can read. Answers the ids.
    async fn foreigners(&self) -> Vec<String> {
        let mut times: Vec<(Timed, Fault)> = [Fault::Poison, Fault::Truncated]
            .into_iter()
            .flat_map(|fault| self.trouble.timed(fault).into_iter().map(move |timed| (timed, fault)))
            .collect();
        times.sort_unstable();
        let mut planted = Vec::new();
        for (Timed { at, number, .. }, fault) in times {
            self.sleep_until(at).await;
            let id = bus::MessageId::parse(&format!("{}-{number}", fault.name())).expect("a legal id");
            let body: &[u8] = match fault {
                Fault::Poison => b"\xff\xfe no order",
                _ => br#"{"orderNumber":"ORD-20250831-155036-0000000A","productName":"bo"#,
            };
            let queue = if number.is_multiple_of(2) { order_queue() } else { sync_queue() };
            if self.broker.publish_foreign(&queue, &Message::foreign(id.clone(), body)) {
                self.trouble.note(fault, id.to_string().as_str());
                planted.push(id.to_string());
            }
        }
        planted
    }

    /// Waits until nothing is left to do; false when that takes too long.
    async fn rest(&self, onlooker: &mut Onlooker) -> bool {
        let end = self.world.seams().clock.now() + RECOVERY_MAX;
        let queues = [order_queue(), sync_queue()].map(Subscription::to);
        loop {
            if queues.iter().all(|queue| self.broker.waiting_count(queue) == 0) && onlooker.is_at_rest(self) {
                return true;
            }
            if self.world.seams().clock.now() > end {
                return false;
            }
            self.world.seams().clock.sleep(LOOK_AGAIN_AFTER).await;
        }
    }
}

pub(super) fn read(body: &Bytes) -> Value {
    serde_json::from_slice(body).unwrap_or(Value::Null)
}
