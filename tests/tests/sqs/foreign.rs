//! A foreign client beside ours: boto3.

use serde_json::Value;
use tests::orders::Place;
use tests::orders::story::{BROKEN_EVENT, BROKEN_ORDER, foreign_events, foreign_orders, is_kept_as_sent};

pub(crate) fn boto3(action: &[&str], lines: &[String]) -> Vec<Value> {
    let url = tests::brokers::url("sqs");
    let endpoint = url.split("endpoint=").nth(1).expect("the URL of a local server names its endpoint");
    tests::brokers::foreign("sqs", endpoint, action, lines)
}

pub(crate) async fn what_a_foreign_client_put_there_before_the_start_is_processed() {
    let place = Place::on(&tests::brokers::url("sqs"));
    let (orders, sync) = (place.order_queue.as_str(), place.sync_queue.as_str());
    boto3(&["create", orders, sync], &[]);
    boto3(&["send", orders], &foreign_orders());
    boto3(&["send", sync], &foreign_events());

    let process = place.start_ready().await;
    place.deals_with_foreign_messages().await;
    assert!(process.terminate().success(), "{}", place.site.log_tail());

    for (queue, body) in [(orders, BROKEN_ORDER), (sync, BROKEN_EVENT)] {
        is_kept_as_sent(&boto3(&["receive", &format!("{queue}-dlq")], &[]), "attributes", queue, body);
        assert!(boto3(&["receive", queue], &[]).is_empty(), "nothing is left on {queue}");
    }
}
