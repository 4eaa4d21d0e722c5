//! Asking the running consumer to reconcile now. Its store is its own: no second process opens it.

use std::process::ExitCode;

use bus::Seams;
use bytes::Bytes;
use http::StatusCode;
use services::http_client::Peer;

use crate::failure::Failure;
use crate::output;
use crate::settings::Settings;

/// Runs the reconciler once and prints what it did.
pub(crate) async fn reconcile(settings: Settings, _seams: Seams, as_json: bool) -> Result<ExitCode, Failure> {
    let peer = Peer::new(settings.consumer_url.clone(), settings.sync_token.clone()).map_err(Failure::runtime)?;
    let request = http::Request::post("/api/sync/reconcile").body(Bytes::new()).map_err(Failure::runtime)?;
    let reply = peer.pass_on(request).await.map_err(|failure| {
        Failure::runtime(failure).hint("the consumer reconciles: start `orders serve`, or point --consumer-url at it")
    })?;
    let body = String::from_utf8_lossy(reply.body()).into_owned();
    match reply.status() {
        StatusCode::OK if as_json => output::print(&format!("{body}\n"))?,
        StatusCode::OK => output::print(&in_words(&body))?,
        StatusCode::UNAUTHORIZED => {
            return Err(
                Failure::runtime("the consumer refuses the token").hint("set ORDERS_SYNC_TOKEN to the services' own")
            );
        }
        status => {
            return Err(Failure::runtime(format!("the consumer answers {status}: {body}"))
                .hint("it needs the producer; see its log and /readyz"));
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn in_words(body: &str) -> String {
    let done: serde_json::Value = serde_json::from_str(body).unwrap_or_default();
    let count = |name: &str| done[name].as_u64().unwrap_or(0);
    format!(
        "{} changes looked at: {} copies fetched, {} orders processed, {} results put again\n",
        count("checked"),
        count("copied"),
        count("processed"),
        count("resent")
    )
}
