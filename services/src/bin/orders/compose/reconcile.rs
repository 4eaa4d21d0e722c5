//! Asking the running consumer to reconcile now. Its store is its own: no second process opens it.

use std::process::ExitCode;

use bus::Seams;
use bytes::Bytes;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use services::http_client::Peer;

use crate::failure::Failure;
use crate::output;
use crate::settings::Settings;

/// Runs the reconciler once, over everything there is, and prints what it did.
pub(crate) async fn reconcile(settings: Settings, _seams: Seams, as_json: bool) -> Result<ExitCode, Failure> {
    let peer = Peer::new(settings.consumer_url.clone(), settings.sync_token.clone()).map_err(Failure::runtime)?;
    let mut done = Done::default();
    loop {
        let part = ask(&peer).await?;
        done.checked += part.checked;
        done.copied += part.copied;
        done.processed += part.processed;
        done.resent += part.resent;
        if !part.more {
            break;
        }
    }
    if as_json {
        output::print(&format!("{}\n", serde_json::to_string(&done).map_err(Failure::runtime)?))?;
    } else {
        let Done { checked, copied, processed, resent, .. } = done;
        output::print(&format!(
            "{checked} changes looked at: {copied} copies fetched, {processed} orders processed, {resent} results put again\n"
        ))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// What one part of the reconciliation did, as the consumer answers it.
#[derive(Default, Deserialize, Serialize)]
struct Done {
    checked: u64,
    copied: u64,
    processed: u64,
    resent: u64,
    #[serde(skip_serializing)]
    more: bool,
}

/// One request, for the part of the work that fits into its time.
async fn ask(peer: &Peer) -> Result<Done, Failure> {
    let request = http::Request::post("/api/sync/reconcile").body(Bytes::new()).map_err(Failure::runtime)?;
    let reply = peer.pass_on(request).await.map_err(|failure| {
        Failure::runtime(failure).hint("the consumer reconciles: start `orders serve`, or point --consumer-url at it")
    })?;
    match reply.status() {
        StatusCode::OK => reply.json().map_err(|error| {
            Failure::runtime(format!("the answer cannot be read: {error}")).hint("is --consumer-url the consumer?")
        }),
        StatusCode::UNAUTHORIZED => {
            Err(Failure::runtime("the consumer refuses the token").hint("set ORDERS_SYNC_TOKEN to the services' own"))
        }
        status => {
            let body = String::from_utf8_lossy(reply.body()).into_owned();
            Err(Failure::runtime(format!("the consumer answers {status}: {body}"))
                .hint("it needs the producer; see its log and /readyz"))
        }
    }
}
