//! `POST /v1/checkpoint/{run_id}/async`: steps that a function finished during a call that continues.
//!
//! An SDK whose checkpoints fail reports the steps at the end of the call, after some retries.

use actix_web::{HttpResponse, web};
use serde::Deserialize;
use serde_json::json;

use super::{MAX_BODY_BYTES, Refusal, ulid};
use crate::{
    base::ids::RunId,
    engine::{
        Engine,
        ops::{MAX_STATE_BYTES, MAX_STEPS, ParsedOp, SdkOp},
    },
    store::engine::queue::{Kept, StateLimit},
};

#[derive(Deserialize)]
struct Checkpoint {
    /// The id that was sent with the call: its lease.
    request_id: String,
    steps: Vec<SdkOp>,
}

pub async fn keep(
    engine: web::Data<Engine>,
    run_id: web::Path<String>,
    body: web::Payload,
) -> Result<HttpResponse, Refusal> {
    let id = ulid(&run_id).map(RunId::from).ok_or_else(|| Refusal::RunId(run_id.into_inner()))?;
    let Ok(Ok(body)) = body.to_bytes_limited(MAX_BODY_BYTES).await else {
        return Err(Refusal::Checkpoint("the body is incomplete or too large".to_owned()));
    };
    let checkpoint: Checkpoint =
        serde_json::from_slice(&body).map_err(|error| Refusal::Checkpoint(error.to_string()))?;
    let mut steps = Vec::with_capacity(checkpoint.steps.len());
    for op in checkpoint.steps {
        match op.read() {
            ParsedOp::Finished(step) => steps.push(step),
            // These are handled when the call has ended.
            ParsedOp::Failed(_)
            | ParsedOp::Complete(_)
            | ParsedOp::Planned(_)
            | ParsedOp::Discover
            | ParsedOp::Lost(_) => {
                return Err(Refusal::Checkpoint("an op that a checkpoint cannot contain".to_owned()));
            }
            ParsedOp::Unsupported(what) => {
                return Err(Refusal::Checkpoint(format!("{what} is not supported")));
            }
        }
    }
    let limit = StateLimit { steps: MAX_STEPS, bytes: MAX_STATE_BYTES };
    match engine.store.engine_checkpoint(&id, &checkpoint.request_id, &steps, limit).await? {
        Kept::All => Ok(HttpResponse::Ok().json(json!({"data": {"run_id": id}}))),
        Kept::NothingAsTooMuch => {
            Err(Refusal::Checkpoint("the run's state would exceed its limit".to_owned()))
        }
        Kept::NothingAsStale => Err(Refusal::Stale),
    }
}
