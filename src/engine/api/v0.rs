//! The parts of a call that was too large: the function fetches them by the run's id.

use std::collections::BTreeMap;

use actix_web::{HttpResponse, web};
use serde_json::value::RawValue;

use super::{Refusal, ulid};
use crate::{base::ids::RunId, engine::Engine, store::engine::runs::State};

pub fn routes(config: &mut web::ServiceConfig) {
    config
        .service(web::resource("/runs/{run_id}/actions").get(actions))
        .service(web::resource("/runs/{run_id}/batch").get(batch));
}

/// `GET /v0/runs/{run_id}/actions`: the outputs of finished steps by step id, in the format of a call's
/// `steps`. Empty once the run has ended.
async fn actions(engine: web::Data<Engine>, run_id: web::Path<String>) -> Result<HttpResponse, Refusal> {
    let state = state(&engine, run_id.into_inner()).await?;
    let steps: BTreeMap<&str, &RawValue> = state
        .steps
        .iter()
        .map(|step| Ok((step.id.as_str(), serde_json::from_str(&step.output)?)))
        .collect::<serde_json::Result<_>>()?;
    Ok(HttpResponse::Ok().json(steps))
}

/// `GET /v0/runs/{run_id}/batch`: the run's events, in the format of a call's `events`.
async fn batch(engine: web::Data<Engine>, run_id: web::Path<String>) -> Result<HttpResponse, Refusal> {
    let state = state(&engine, run_id.into_inner()).await?;
    let event: &RawValue = serde_json::from_str(&state.event)?;
    Ok(HttpResponse::Ok().json([event]))
}

async fn state(engine: &Engine, run_id: String) -> Result<State, Refusal> {
    let id = ulid(&run_id).map(RunId::from).ok_or(Refusal::RunId(run_id))?;
    engine.store.engine_state(&id).await?.ok_or(Refusal::NoRun(id))
}
