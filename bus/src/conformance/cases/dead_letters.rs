//! Dead letters: found with their provenance, and unchanged by being looked at.

use std::sync::Arc;
use std::time::Duration;

use crate::conformance::World;
use crate::dead_letter::{DeadLetter, DeadLetters, Discard, Ended, Filter, REASON};
use crate::{Delivery, Destination, ErrorKind, Group, MessageKey, Outgoing, SubscribeOptions, Subscription};
use tokio_util::sync::CancellationToken;

super::cases! { "dead letters":
    rejected_messages_are_listed_with_reason_and_provenance [DeadLetters],
    dead_letters_of_every_group_are_listed_with_the_group [DeadLetters, Groups],
    listing_dead_letters_changes_nothing [DeadLetters],
    listing_dead_letters_burns_no_receive_count [DeadLetters, ReleaseUncounted],
    a_list_ends_at_its_limit_and_says_that_there_may_be_more [DeadLetters],
    a_filter_names_dead_letters_by_id_reason_key_and_age [DeadLetters],
    one_dead_letter_is_shown_by_its_id [DeadLetters],
    a_dead_letter_of_a_foreign_hand_is_listed_without_provenance [DeadLetters],
    discarding_removes_what_the_filter_names_and_nothing_else [DeadLetters],
    dead_letters_of_what_was_not_declared_are_not_found [DeadLetters],
}

pub(super) fn of(world: &World, destination: &Destination) -> DeadLetters {
    let found = DeadLetters::of(Arc::clone(&world.bus), destination, world.seams.clone());
    found.expect("the case needs dead letters").with_patience(world.patience())
}

/// Publishes messages and rejects them.
pub(super) async fn bury(world: &World, destination: &Destination, bodies: &[&str], reason: &str) {
    world.publish(destination, bodies).await;
    let receiver = world.receiver(destination).await;
    let rejects = world.take(&receiver, bodies.len()).await.into_iter().map(|delivery| delivery.reject(reason));
    world.settle(&receiver, rejects.collect()).await;
}

pub(super) async fn all(world: &World, destination: &Destination) -> Vec<DeadLetter> {
    let listing = of(world, destination).list(&Filter::default(), 1_000).await.expect("declared");
    assert!(listing.is_complete, "{listing:?}");
    listing.letters
}

/// Bodies of dead letters, sorted: not every bus keeps order.
pub(super) fn bodies(letters: &[DeadLetter]) -> Vec<String> {
    let text = |letter: &DeadLetter| String::from_utf8_lossy(letter.message().body()).into_owned();
    let mut bodies: Vec<String> = letters.iter().map(text).collect();
    bodies.sort();
    bodies
}

async fn rejected_messages_are_listed_with_reason_and_provenance(world: &World) {
    let destination = world.declared("listed").await;
    let headers = [("tenant", "a")].into_iter().collect();
    let message = world.keyed("ORD-1", "{}").with_headers(headers).with_content_type("application/json");
    world.publish_all(vec![Outgoing::new(destination.clone(), message.clone())]).await;
    let receiver = world.receiver(&destination).await;
    let delivery = world.take_one(&receiver).await;
    world.settle(&receiver, vec![delivery.reject("no field `sku`")]).await;
    let letters = all(world, &destination).await;
    assert_eq!(letters.len(), 1, "{letters:?}");
    let (found, provenance) = (letters[0].message(), letters[0].provenance());
    assert_eq!((found.id(), found.key(), found.body()), (message.id(), message.key(), message.body()));
    assert_eq!((found.content_type(), found.headers().text("tenant")), (Some("application/json"), Some("a")));
    assert_eq!(provenance.reason.as_deref(), Some("no field `sku`"));
    assert_eq!(provenance.rejected_by, Some(Subscription::to(destination)));
    assert_eq!(provenance.receive_count, world.capability().receive_count.then_some(1));
    assert_eq!(provenance.replay_count, 0);
    assert!(provenance.at.is_some(), "{provenance:?}");
}

async fn dead_letters_of_every_group_are_listed_with_the_group(world: &World) {
    let audit = Group::new("audit").expect("a legal name");
    let destination = world.declared_with("groups", &[&audit]).await;
    world.publish(&destination, &["1"]).await;
    let subscriptions = [Subscription::to(destination.clone()), Subscription::grouped(destination.clone(), audit)];
    for subscription in &subscriptions {
        let receiver = world.receiver_of(subscription, SubscribeOptions::default()).await;
        let delivery = world.take_one(&receiver).await;
        world.settle(&receiver, vec![delivery.reject("bad")]).await;
    }
    let letters = all(world, &destination).await;
    assert_eq!(bodies(&letters), ["1", "1"], "one message, two deaths");
    for subscription in subscriptions {
        let filter = Filter { rejected_by: Some(subscription.clone()), ..Filter::default() };
        let listing = of(world, &destination).list(&filter, 10).await.expect("declared");
        assert_eq!(listing.letters.len(), 1, "{subscription}");
    }
}

async fn listing_dead_letters_changes_nothing(world: &World) {
    let destination = world.declared("browsed").await;
    bury(world, &destination, &["1", "2", "3"], "bad").await;
    let first = all(world, &destination).await;
    let mut again = all(world, &destination).await;
    assert_eq!(bodies(&first), ["1", "2", "3"]);
    again.sort_by_key(|letter| first.iter().position(|other| other == letter));
    assert_eq!(again, first, "byte for byte, headers included");
    assert!(world.poll(&world.receiver(&destination).await).await.is_empty(), "nothing went back to its origin");
    let graves = world.graves(&destination).await;
    assert_eq!(world.take(&graves, 3).await.len(), 3, "visible to others at once");
}

async fn listing_dead_letters_burns_no_receive_count(world: &World) {
    let destination = world.declared("uncounted").await;
    bury(world, &destination, &["1", "2"], "bad").await;
    all(world, &destination).await;
    all(world, &destination).await;
    let graves = world.graves(&destination).await;
    let counts: Vec<_> = world.take(&graves, 2).await.iter().map(Delivery::receive_count).collect();
    assert_eq!(counts, [Some(1), Some(1)], "as if nobody had looked");
}

async fn a_list_ends_at_its_limit_and_says_that_there_may_be_more(world: &World) {
    let destination = world.declared("limited").await;
    let sent: Vec<String> = (0..10).map(|number| number.to_string()).collect();
    let sent: Vec<&str> = sent.iter().map(String::as_str).collect();
    bury(world, &destination, &sent, "bad").await;
    let listing = of(world, &destination).list(&Filter::default(), 3).await.expect("declared");
    assert_eq!((listing.letters.len(), listing.is_complete), (3, false));
    let few = of(world, &destination).with_held_count_max(4);
    let listing = few.list(&Filter { reason_contains: Some("good".to_owned()), ..Filter::default() }, 3).await;
    let listing = listing.expect("a full hand is no error");
    assert!(listing.examined_count >= 4 && !listing.is_complete, "{listing:?}");
    assert_eq!(all(world, &destination).await.len(), 10);
}

async fn a_filter_names_dead_letters_by_id_reason_key_and_age(world: &World) {
    let destination = world.declared("filtered").await;
    bury(world, &destination, &["1"], "no field `sku`").await;
    world.publish_keyed(&destination, "ORD-2", &["2"]).await;
    let receiver = world.receiver(&destination).await;
    let delivery = world.take_one(&receiver).await;
    world.settle(&receiver, vec![delivery.reject("no such customer")]).await;
    let letters = all(world, &destination).await;
    let first = letters.iter().find(|letter| &letter.message().body()[..] == b"1").expect("it was listed");
    let day = Some(Duration::from_secs(24 * 60 * 60));
    let any = Filter::default;
    let check = async |filter: Filter, expected: &[&str]| {
        let listing = of(world, &destination).list(&filter, 10).await.expect("declared");
        assert_eq!(bodies(&listing.letters), expected, "{filter:?}");
        assert_eq!((listing.examined_count, listing.is_complete), (2, true), "{filter:?}");
    };
    check(Filter::of_message(first.message().id().clone()), &["1"]).await;
    check(Filter { reason_contains: Some("sku".to_owned()), ..any() }, &["1"]).await;
    check(Filter { key: Some(MessageKey::new("ORD-2").expect("legal")), ..any() }, &["2"]).await;
    check(Filter { newer_than: day, ..any() }, &["1", "2"]).await;
    check(Filter { older_than: day, ..any() }, &[]).await;
}

async fn one_dead_letter_is_shown_by_its_id(world: &World) {
    let destination = world.declared("shown").await;
    bury(world, &destination, &["1", "2"], "bad").await;
    for letter in all(world, &destination).await {
        let shown = of(world, &destination).show(letter.message().id()).await.expect("declared");
        assert_eq!(shown, Some(letter));
    }
    let nobody = world.message("3");
    assert_eq!(of(world, &destination).show(nobody.id()).await.expect("declared"), None);
}

async fn a_dead_letter_of_a_foreign_hand_is_listed_without_provenance(world: &World) {
    let destination = world.declared("foreign").await;
    let graves = destination.dead_letters().expect("a short name");
    let headers = [(REASON, &b"moved by hand \xff"[..])].into_iter().collect();
    world.publish_all(vec![Outgoing::new(graves, world.message("1").with_headers(headers))]).await;
    let letters = all(world, &destination).await;
    assert_eq!(bodies(&letters), ["1"]);
    let provenance = letters[0].provenance();
    assert!(provenance.reason.as_deref().is_some_and(|reason| reason.starts_with("moved by hand")), "{provenance:?}");
    assert_eq!((&provenance.rejected_by, provenance.at, provenance.receive_count), (&None, None, None));
}

async fn discarding_removes_what_the_filter_names_and_nothing_else(world: &World) {
    let destination = world.declared("discarded").await;
    bury(world, &destination, &["1", "2", "3"], "bad").await;
    bury(world, &destination, &["4"], "worse").await;
    let filter = Filter { reason_contains: Some("bad".to_owned()), ..Filter::default() };
    let discard = async |limit: Option<usize>, dry_run: bool| {
        let discard = Discard { filter: filter.clone(), limit, dry_run };
        of(world, &destination).discard(discard, CancellationToken::new()).await.expect("declared")
    };
    let dry = discard(None, true).await;
    assert_eq!((dry.discarded_count, all(world, &destination).await.len()), (3, 4), "a dry run changes nothing");
    let one = discard(Some(1), false).await;
    assert!(matches!(one.ended, Ended::LimitReached) && one.discarded_count == 1, "{one:?}");
    let rest = discard(None, false).await;
    assert!(matches!(rest.ended, Ended::Complete) && rest.discarded_count == 2, "{rest:?}");
    assert_eq!((rest.examined_count, rest.failed_count), (3, 0));
    assert_eq!(bodies(&all(world, &destination).await), ["4"]);
}

async fn dead_letters_of_what_was_not_declared_are_not_found(world: &World) {
    let error = of(world, &world.undeclared("nowhere")).list(&Filter::default(), 1).await.expect_err("not declared");
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
}
