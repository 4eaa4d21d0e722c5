//! What the README's first screen shows is what the binary does.

use bus::pipeline::Handled;
use bus::typed::Front;
use bus::{BusUrl, Declaration, Destination, MessageKey, Registry, Seams, Subscription};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tests::orders::Site;
use tokio_util::sync::CancellationToken;

/// The text between two markers of the README.
fn shown(from: &str, to: &str) -> &'static str {
    let readme = include_str!("../../README.md");
    let start = readme.find(from).expect("the README has it") + from.len();
    &readme[start..start + readme[start..].find(to).expect("and its end")]
}

#[tokio::test]
async fn the_readmes_curl_gets_the_readmes_answer() {
    let site = Site::new();
    let process = site.start_ready(&[]).await;
    let body = shown("-d '", "'\n");
    let sent = site.client().post(site.producer("/api/orders")).header("content-type", "application/json");
    let response = sent.body(body).send().await.expect("answered");
    assert_eq!(response.status(), reqwest::StatusCode::CREATED);
    let answered = response.text().await.expect("a body");
    let promised = shown("```json\n", "\n```");
    let varying = ["orderNumber", "createdAt"];
    let fields = |text: &str| -> Vec<(String, Value)> {
        let object: serde_json::Map<String, Value> = serde_json::from_str(text).expect("an object");
        object.into_iter().filter(|(name, _)| !varying.contains(&name.as_str())).collect()
    };
    assert_eq!(fields(&answered), fields(promised));
    for text in
        ["\"price\":45000.00", "\"totalAmount\":90000.00", "\"status\":\"PENDING\"", "\"statusDescription\":\"대기중\""]
    {
        assert!(answered.contains(text) && promised.contains(text), "{text}: {answered}");
    }
    let order: Value = serde_json::from_str(&answered).expect("an object");
    let copy = site.consumer(&format!("/api/synced-orders/{}", order["orderNumber"].as_str().expect("a number")));
    let completed = async || site.get(&copy).await.is_some_and(|copy| copy["status"] == "COMPLETED");
    site.eventually("the order is completed on both sides", completed).await;
    let (code, report) = site.run(&["verify"]);
    assert_eq!(code, 0, "{report}");
    assert!(process.terminate().success(), "{}", site.log_tail());
}

#[derive(Serialize, Deserialize)]
struct Order;

impl Order {
    async fn ship(self) -> Handled {
        Ok(())
    }
}

/// The lines between `{` and `}` are the README's: that they compile is what is tested.
#[rustfmt::skip]
async fn shown_to_authors(
    registry: Registry, seams: Seams, orders: Destination, order: Order, shutdown: CancellationToken,
) -> bus::Result<()> {
let bus = registry.open(&BusUrl::parse("sqs://ap-northeast-2")?, &seams).await?;
let front = Front::new(bus, seams);
front.bus().declare(&[Declaration::of(orders.clone())]).await?;
front.publish_json(&orders, MessageKey::new("ORD-1")?, &order).await?;
front.subscribe_json(Subscription::to(orders), async |order: Order, _| order.ship().await).run(shutdown).await
}

#[test]
fn the_readmes_lines_of_rust_are_those_that_compile() {
    let _compiles = shown_to_authors;
    let here = include_str!("readme.rs");
    assert!(here.contains(&format!(" {{\n{}\n}}", shown("```rust\n", "\n```"))));
}
