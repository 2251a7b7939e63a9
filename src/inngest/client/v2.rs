//! The v2 API's list of an event's runs. It is not cached, its states are correct while a run sleeps or waits
//! for a retry, and it names the functions. Not every server has it.

use serde::Deserialize;
use serde_json::Value;

use super::Client;
use crate::{
    base::{
        ids::{EventId, RunId},
        time::UnixMillis,
    },
    inngest::{Error, EventSeed, Run, RunStatus},
};

/// The largest page that the API allows.
const PAGE: &str = "40";

/// More pages than any event has runs for. Bounds a list that never ends.
const MOST_PAGES: usize = 25;

impl Client {
    pub(super) async fn event_runs_v2(&self, event: &EventId) -> Result<Vec<Run>, Error> {
        let mut runs = Vec::new();
        let mut cursor: Option<String> = None;
        for _ in 0..MOST_PAGES {
            let mut url = self.endpoint(&["v2", "events", event.as_str(), "runs"]);
            url.query_pairs_mut().append_pair("includeOutput", "true").append_pair("limit", PAGE);
            if let Some(cursor) = &cursor {
                url.query_pairs_mut().append_pair("cursor", cursor);
            }
            let answer = self.transport.poll_v2(&self.turn, || self.transport.http.get(url.clone())).await?;
            let mut page: RunsPage = self.transport.parse(&answer.body)?;
            cursor = page.next();
            runs.extend(page.into_runs(event));
            if cursor.is_none() {
                break;
            }
        }
        Ok(runs)
    }

    /// When the run left the queue. The event's list does not say: its `startedAt` is the time at which the
    /// run was queued.
    pub async fn started_at(&self, run: &RunId) -> Result<Option<UnixMillis>, Error> {
        if self.is_without_v2() {
            return Ok(None);
        }
        let url = self.endpoint(&["v2", "runs", run.as_str()]);
        let answer = self.transport.poll_v2(&self.turn, || self.transport.http.get(url.clone())).await?;
        Ok(self.transport.parse::<OneRun>(&answer.body)?.started_at())
    }

    pub(super) async fn cancel_v2(&self, run: &RunId) -> Result<(), Error> {
        let url = self.endpoint(&["v2", "runs", run.as_str(), "cancel"]);
        let body = serde_json::json!({});
        self.transport.ask_v2(|| self.transport.http.post(url.clone()).json(&body)).await.map(drop)
    }

    /// Whether the engine accepts the API key, if one is set. Lists the runs of an event that was never sent,
    /// once.
    pub async fn check_api_key(&self) -> Result<(), Error> {
        if self.transport.server.api_key.is_none() {
            return Ok(());
        }
        match self.event_runs_v2(&EventSeed::generate().event_id(0)).await {
            Err(error @ Error::Unauthorized { .. }) => Err(error),
            // A server without v2 is asked with the signing key.
            _ => Ok(()),
        }
    }

    /// Whether a server answers like this because it has no v2 API, or offers v2 only to other keys. A
    /// refused API key is a mistake that the operator must see; the signing key must not replace it.
    pub(super) fn is_of_no_v2(&self, error: &Error) -> bool {
        match error {
            Error::NotFound { .. } | Error::Refused { .. } | Error::Unreadable(_) => true,
            Error::Unauthorized { .. } => self.transport.server.api_key.is_none(),
            // 501 is "not implemented".
            Error::Server { status, .. } => *status == 501,
            Error::Setup(_) | Error::Unreachable(_) | Error::TimedOut(_) | Error::RateLimited { .. } => false,
        }
    }
}

/// One page of the list. `data` is omitted if it is empty.
#[derive(Deserialize)]
struct RunsPage {
    #[serde(default)]
    data: Vec<RunItem>,
    #[serde(default)]
    page: Page,
    #[serde(default)]
    metadata: Metadata,
}

/// When the server made the answer, by its own clock.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metadata {
    fetched_at: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Page {
    cursor: Option<String>,
    #[serde(default)]
    has_more: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RunItem {
    id: RunId,
    status: String,
    #[serde(default)]
    app: Named,
    #[serde(default)]
    function: Named,
    queued_at: Option<String>,
    ended_at: Option<String>,
    output: Option<Value>,
}

#[derive(Deserialize)]
struct OneRun {
    data: OneRunItem,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct OneRunItem {
    started_at: Option<String>,
}

impl OneRun {
    /// For a queued run the server sends the first day of the year 1.
    fn started_at(&self) -> Option<UnixMillis> {
        UnixMillis::from_rfc3339(self.data.started_at.as_deref()?).filter(|at| at.0 > 0)
    }
}

#[derive(Default, Deserialize)]
struct Named {
    #[serde(default)]
    id: String,
    #[serde(default)]
    name: String,
}

impl RunsPage {
    /// The cursor of the next page, if there is one.
    fn next(&mut self) -> Option<String> {
        self.page.cursor.take().filter(|_| self.page.has_more)
    }

    /// The runs in v1's words.
    fn into_runs(self, event: &EventId) -> impl Iterator<Item = Run> {
        let fetched_at = self.metadata.fetched_at.as_deref().and_then(UnixMillis::from_rfc3339);
        let fetched_at = fetched_at.unwrap_or_else(UnixMillis::now);
        self.data.into_iter().map(move |item| item.into_run(event, fetched_at))
    }
}

impl RunItem {
    fn into_run(self, event: &EventId, fetched_at: UnixMillis) -> Run {
        let status = status(&self.status);
        let ended_at = self.ended_at.as_deref().and_then(UnixMillis::from_rfc3339);
        // For a cancelled run a server reports an end ten seconds after the real one, and the output of its
        // last finished step as the run's output.
        let is_cancelled = status == RunStatus::Cancelled;
        let ended_at = ended_at.map(|at| if is_cancelled { at.min(fetched_at) } else { at });
        let queued_at = self.queued_at.as_deref().and_then(UnixMillis::from_rfc3339);
        let name = [&self.function.name, &self.function.id].into_iter().find(|name| !name.is_empty());
        Run {
            run_started_at: queued_at.unwrap_or_else(|| self.id.made_at().unwrap_or_else(UnixMillis::now)),
            function_name: name.cloned(),
            function_id: [self.app.id, self.function.id].join("-"),
            event_id: event.clone(),
            ended_at,
            // Before its end a run has no output, even if one is sent. Some servers mark the end by the
            // status alone.
            output: self
                .output
                .filter(|_| (ended_at.is_some() || status.is_terminal_word()) && !is_cancelled)
                .map(|output| unwrapped(output, &status)),
            status,
            run_id: self.id,
        }
    }
}

/// The function's own output in the form that v1 and the push use. v2 wraps a value that is not an object in
/// `data`, and every failure in `error`. It never wraps an object, so a `data` key that holds an object is
/// the function's own.
fn unwrapped(output: Value, status: &RunStatus) -> Value {
    let key = if *status == RunStatus::Failed { "error" } else { "data" };
    match output {
        Value::Object(mut object) if object.len() == 1 => match object.remove(key) {
            Some(inner) if key == "error" || !inner.is_object() => inner,
            Some(inner) => serde_json::json!({ key: inner }),
            None => Value::Object(object),
        },
        output => output,
    }
}

/// v1's word for the status; an unknown word is kept as received.
fn status(word: &str) -> RunStatus {
    match word {
        "QUEUED" | "SCHEDULED" => RunStatus::Scheduled,
        "RUNNING" => RunStatus::Running,
        "COMPLETED" => RunStatus::Completed,
        "FAILED" => RunStatus::Failed,
        "CANCELLED" => RunStatus::Cancelled,
        "SKIPPED" => RunStatus::Skipped,
        other => RunStatus::Other(other.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const EVENT: &str = "01M852NRZ0PD3P455PB1YYEES8";

    fn runs(body: &str) -> Vec<Run> {
        let page: RunsPage = serde_json::from_str(body).unwrap();
        page.into_runs(&EventId::from(EVENT.to_owned())).collect()
    }

    #[test]
    fn reads_a_run_as_a_real_server_lists_it() {
        let seen = r#"{"data":[{"app":{"id":"csv-app"},"durationMs":"66","endedAt":"2026-11-23T20:48:32.822381370Z","function":{"id":"process-csv-upload","name":"Process CSV upload"},"id":"01M852NRZFEPN1E3QBM81PJRJ2","output":{"failedItems":2,"processedItems":98,"status":"success"},"queuedAt":"2026-11-23T20:48:32.751Z","startedAt":"2026-11-23T20:48:32.756206383Z","status":"COMPLETED","trigger":{"eventIds":["01M852NRZ0PD3P455PB1YYEES8"]}}],"metadata":{"fetchedAt":"2026-11-23T20:48:58.834640370Z"},"page":{"limit":20}}"#;
        let [run] = runs(seen).try_into().unwrap();
        assert_eq!((run.run_id.as_str(), run.event_id.as_str()), ("01M852NRZFEPN1E3QBM81PJRJ2", EVENT));
        assert_eq!(run.function_name.as_deref(), Some("Process CSV upload"));
        assert_eq!(run.function_id, "csv-app-process-csv-upload");
        assert_eq!(
            (run.status, run.run_started_at.to_string()),
            (RunStatus::Completed, "2026-11-23T20:48:32.751Z".into())
        );
        assert_eq!(run.ended_at.unwrap().to_string(), "2026-11-23T20:48:32.822Z");
        assert_eq!(run.output, Some(json!({"failedItems": 2, "processedItems": 98, "status": "success"})));
    }

    #[test]
    fn an_event_without_runs_has_no_list_at_all() {
        let seen = r#"{"metadata":{"fetchedAt":"2026-11-23T20:48:30.790813345Z"},"page":{"limit":20}}"#;
        assert_eq!(runs(seen), []);
    }

    #[test]
    fn a_queued_run_is_scheduled_and_an_unknown_word_is_kept() {
        let seen = r#"{"data":[{"app":{"id":"csv-app"},"function":{"id":"limited","name":"limited"},"id":"01M852ZHTQSZ1YZRCCDH8CZNDW","queuedAt":"2026-11-23T20:53:53.111Z","startedAt":"2026-11-23T20:53:53.112322644Z","status":"QUEUED","trigger":{"eventIds":["01M852ZHQ9C8RSD53GHHS857A3"]}}]}"#;
        let run = runs(seen).remove(0);
        assert_eq!((run.status, run.ended_at, run.output), (RunStatus::Scheduled, None, None));
        let run = runs(&seen.replace("QUEUED", "OVERFLOWED")).remove(0);
        assert_eq!(run.status, RunStatus::Other("OVERFLOWED".to_owned()));
    }

    #[test]
    fn a_run_that_waits_in_the_queue_has_not_started() {
        let started = |at: &str| {
            let body = format!(r#"{{"data":{{"id":"01M8J49B2GKD17YJAY5VSQPFAK","startedAt":"{at}"}}}}"#);
            serde_json::from_str::<OneRun>(&body).unwrap().started_at().map(|at| at.to_string())
        };
        assert_eq!(started("0001-01-01T00:00:00Z"), None);
        assert_eq!(started("2026-11-28T22:27:05.170Z").as_deref(), Some("2026-11-28T22:27:05.170Z"));
        let absent = serde_json::from_str::<OneRun>(r#"{"data":{"status":"QUEUED"}}"#).unwrap();
        assert_eq!(absent.started_at(), None);
    }

    #[test]
    fn what_v2_wraps_is_as_the_function_answered_it() {
        let output = |status: &str, output: Value| {
            let item = json!({"id": "01M852ZHTQSZ1YZRCCDH8CZNDW", "status": status, "output": output,
                "endedAt": "2026-11-23T20:48:32.822Z"});
            runs(&json!({"data": [item]}).to_string()).remove(0).output.unwrap()
        };
        for (wrapped, own) in [
            (json!({"data": "seen"}), json!("seen")),
            (json!({"data": null}), Value::Null),
            (json!({"data": [1, 2]}), json!([1, 2])),
            (json!({"data": {"processedItems": 1}}), json!({"data": {"processedItems": 1}})),
            (json!({"data": 1, "more": 2}), json!({"data": 1, "more": 2})),
            (json!({"error": "mine"}), json!({"error": "mine"})),
            (json!({}), json!({})),
        ] {
            assert_eq!(output("COMPLETED", wrapped), own);
        }
        let failure = json!({"name": "Error", "message": "no"});
        assert_eq!(output("FAILED", json!({"error": failure})), failure);
        assert_eq!(output("FAILED", json!({"error": "oops"})), json!("oops"));
        assert_eq!(output("FAILED", failure.clone()), failure);
    }

    #[test]
    fn only_a_list_with_more_behind_it_has_a_next_page() {
        let page =
            |page: &str| serde_json::from_str::<RunsPage>(&format!(r#"{{"page":{page}}}"#)).unwrap().next();
        assert_eq!(page(r#"{"cursor":"abc","hasMore":true,"limit":2}"#).as_deref(), Some("abc"));
        assert_eq!(page(r#"{"cursor":"abc","limit":2}"#), None);
        assert_eq!(page(r#"{"limit":20}"#), None);
    }
}
