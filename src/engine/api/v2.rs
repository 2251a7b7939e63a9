//! The REST API's v2: camelCase, no `data` if it would be empty, and errors with a code.

use std::collections::HashMap;

use actix_web::{HttpResponse, ResponseError, http::StatusCode, http::header, web};
use serde_json::{Map, Value, json};

use super::ulid;
use crate::{
    base::{
        ids::{EventId, RunId},
        time::UnixMillis,
    },
    engine::Engine,
    inngest::RunStatus,
    store::{
        self,
        engine::runs::{Cancelled, ListedRun},
    },
};

/// The default number of runs on a page, and the largest that a request may ask for.
const DEFAULT_LIMIT: u32 = 20;
const MAX_LIMIT: u32 = 40;

pub fn routes(config: &mut web::ServiceConfig) {
    config
        .service(web::resource("/events/{event_id}/runs").get(event_runs))
        .service(web::resource("/runs/{run_id}/cancel").post(cancel));
}

/// Why a request is refused.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error("{0}")]
    Field(String),
    #[error("Run not found")]
    NoRun,
    #[error("Run is already cancelled")]
    Cancelled,
    #[error("Cannot cancel an ended run")]
    Ended,
    #[error("Unable to read or write the database")]
    Store(#[from] store::Error),
}

impl Refusal {
    fn code(&self) -> &'static str {
        match self {
            Self::Field(_) => "invalid_field_format",
            Self::NoRun => "not_found",
            Self::Cancelled => "run_already_cancelled",
            Self::Ended => "run_already_ended",
            Self::Store(_) => "internal_error",
        }
    }
}

impl ResponseError for Refusal {
    fn status_code(&self) -> StatusCode {
        match self {
            Self::Field(_) => StatusCode::BAD_REQUEST,
            Self::NoRun => StatusCode::NOT_FOUND,
            Self::Cancelled | Self::Ended => StatusCode::CONFLICT,
            Self::Store(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    fn error_response(&self) -> HttpResponse {
        if let Self::Store(error) = self {
            tracing::error!(%error, "the engine could not answer");
        }
        let error = json!({"code": self.code(), "message": self.to_string()});
        HttpResponse::build(self.status_code()).json(json!({"errors": [error]}))
    }
}

/// `GET /v2/events/{event_id}/runs?includeOutput&limit&cursor`, in the order of the runs' ids. The cursor is
/// the id of the last listed run.
async fn event_runs(
    engine: web::Data<Engine>,
    event_id: web::Path<String>,
    query: web::Query<HashMap<String, String>>,
) -> Result<HttpResponse, Refusal> {
    let field = |what: &str| Refusal::Field(what.to_owned());
    let event = ulid(&event_id).map(EventId::from).ok_or_else(|| field("Event ID must be a valid ULID"))?;
    let with_output = match query.get("includeOutput").map(String::as_str) {
        None | Some("false") => false,
        Some("true") => true,
        Some(_) => return Err(field("includeOutput must be true or false")),
    };
    let limit = match query.get("limit").map(|limit| limit.parse::<i64>()) {
        None | Some(Ok(0)) => DEFAULT_LIMIT,
        Some(Ok(limit)) if limit < 1 => return Err(field("Limit must be at least 1")),
        Some(Ok(limit)) => u32::try_from(limit)
            .ok()
            .filter(|limit| *limit <= MAX_LIMIT)
            .ok_or_else(|| Refusal::Field(format!("Limit cannot exceed {MAX_LIMIT}")))?,
        Some(Err(_)) => return Err(field("Limit must be a number")),
    };
    let after = match query.get("cursor").filter(|cursor| !cursor.is_empty()) {
        None => None,
        Some(cursor) => Some(ulid(cursor).map(RunId::from).ok_or_else(|| field("Cursor is invalid"))?),
    };
    // One run more than the page shows whether there is a next page.
    let mut runs = engine.store.engine_list_runs(&event, after.as_ref(), limit + 1, with_output).await?;
    let has_more = runs.len() > limit as usize;
    runs.truncate(limit as usize);
    let mut page = json!({"limit": limit});
    if let Some(last) = runs.last().filter(|_| has_more) {
        page["cursor"] = json!(last.run_id);
        page["hasMore"] = json!(true);
    }
    let mut body = json!({"metadata": metadata(), "page": page});
    if !runs.is_empty() {
        body["data"] = runs.into_iter().map(|run| run_body(run, &event)).collect();
    }
    Ok(answer(&body))
}

/// `POST /v2/runs/{run_id}/cancel`: cancels at once. Answers with an error if the run has ended.
async fn cancel(engine: web::Data<Engine>, run_id: web::Path<String>) -> Result<HttpResponse, Refusal> {
    let id = ulid(&run_id).map(RunId::from);
    let id = id.ok_or_else(|| Refusal::Field("Run ID must be a valid ULID".to_owned()))?;
    match engine.cancel(&id).await? {
        Cancelled::Now => Ok(answer(&json!({"data": {"runId": id}, "metadata": metadata()}))),
        Cancelled::EndedBefore(RunStatus::Cancelled) => Err(Refusal::Cancelled),
        Cancelled::EndedBefore(_) => Err(Refusal::Ended),
        Cancelled::NoSuchRun => Err(Refusal::NoRun),
    }
}

fn metadata() -> Value {
    json!({"fetchedAt": UnixMillis::now().to_string()})
}

fn answer(body: &Value) -> HttpResponse {
    HttpResponse::Ok().insert_header((header::CACHE_CONTROL, "no-store")).json(body)
}

/// A run in v2's format: missing values are omitted, and 64-bit numbers are strings.
fn run_body(run: ListedRun, event: &EventId) -> Value {
    let function = run.slug.strip_prefix(&run.app).and_then(|rest| rest.strip_prefix('-'));
    let mut body = json!({
        "app": {"id": run.app},
        "function": {"id": function.unwrap_or(&run.slug), "name": run.name},
        "id": run.run_id,
        "queuedAt": run.queued_at.to_string(),
        "status": status_word(&run.status),
        "trigger": {"eventIds": [event]},
    });
    if let Some(started) = run.started_at {
        body["startedAt"] = json!(started.to_string());
    }
    if let Some(ended) = run.ended_at {
        body["endedAt"] = json!(ended.to_string());
        if let Some(started) = run.started_at {
            body["durationMs"] = json!(ended.since(started).as_millis().to_string());
        }
    }
    // A cancelled run has no output in v2; in v1 its output is {}.
    if let Some(output) = run.output.filter(|_| run.status != RunStatus::Cancelled) {
        body["output"] = output_body(output, &run.status);
    }
    body
}

fn status_word(status: &RunStatus) -> &'static str {
    match status {
        RunStatus::Scheduled => "QUEUED",
        RunStatus::Running => "RUNNING",
        RunStatus::Completed => "COMPLETED",
        RunStatus::Failed => "FAILED",
        RunStatus::Cancelled => "CANCELLED",
        RunStatus::Skipped => "SKIPPED",
        RunStatus::Other(_) => "UNKNOWN",
    }
}

/// Always an object: an error is in `error`, a value that is not an object is in `data`.
fn output_body(output: Value, status: &RunStatus) -> Value {
    let is_wrapped = |fields: &Map<String, Value>| fields.len() == 1 && fields.contains_key("error");
    match output {
        Value::Object(fields) if *status == RunStatus::Failed && !is_wrapped(&fields) => {
            json!({"error": fields})
        }
        Value::Object(fields) => Value::Object(fields),
        other if *status == RunStatus::Failed => json!({"error": other}),
        other => json!({"data": other}),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_written_as_a_real_server_does() {
        let event = EventId::from("01M852NRZ0PD3P455PB1YYEES8".to_owned());
        let run = ListedRun {
            run_id: RunId::from("01M852NRZFEPN1E3QBM81PJRJ2".to_owned()),
            app: "csv-app".into(),
            slug: "csv-app-long".into(),
            name: "Long".into(),
            status: RunStatus::Scheduled,
            queued_at: UnixMillis(1_795_466_912_751),
            started_at: None,
            ended_at: None,
            output: None,
        };
        let mut expected = json!({
            "app": {"id": "csv-app"}, "function": {"id": "long", "name": "Long"},
            "id": "01M852NRZFEPN1E3QBM81PJRJ2", "queuedAt": "2026-11-23T20:48:32.751Z",
            "status": "QUEUED", "trigger": {"eventIds": ["01M852NRZ0PD3P455PB1YYEES8"]}
        });
        assert_eq!(run_body(run.clone(), &event), expected);
        let ended = ListedRun {
            status: RunStatus::Completed,
            started_at: Some(UnixMillis(1_795_466_912_756)),
            ended_at: Some(UnixMillis(1_795_466_912_822)),
            output: Some(json!({"status": "success"})),
            ..run
        };
        for (key, value) in [
            ("status", "COMPLETED"),
            ("startedAt", "2026-11-23T20:48:32.756Z"),
            ("endedAt", "2026-11-23T20:48:32.822Z"),
            ("durationMs", "66"),
        ] {
            expected[key] = json!(value);
        }
        expected["output"] = json!({"status": "success"});
        assert_eq!(run_body(ended, &event), expected);
    }

    #[test]
    fn an_output_is_always_an_object() {
        let error = json!({"name": "E", "message": "m"});
        let wrapped = json!({"error": {"error": "m", "name": "E", "message": "m"}});
        for (status, output, expected) in [
            (RunStatus::Completed, json!({"error": "mine"}), json!({"error": "mine"})),
            (RunStatus::Completed, json!("seen"), json!({"data": "seen"})),
            (RunStatus::Completed, json!(null), json!({"data": null})),
            (RunStatus::Completed, json!([1]), json!({"data": [1]})),
            (RunStatus::Failed, error.clone(), json!({"error": error})),
            (RunStatus::Failed, json!("text"), json!({"error": "text"})),
            (RunStatus::Failed, wrapped.clone(), wrapped),
        ] {
            assert_eq!(output_body(output, &status), expected);
        }
    }
}
