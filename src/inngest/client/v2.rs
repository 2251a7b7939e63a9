//! The v2 API's list of an event's runs. Nothing of it is cached, its states are right also while a run
//! sleeps or waits for a retry, and it names the functions; not every server has it.

use serde::Deserialize;
use serde_json::Value;

use crate::{
    ids::{EventId, RunId},
    inngest::{Run, RunStatus},
    time::UnixMillis,
};

/// The most runs that a page can have.
pub const PAGE: &str = "40";

/// One page of the list. `data` is left out when it is empty.
#[derive(Deserialize)]
pub struct RunsPage {
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

#[derive(Default, Deserialize)]
struct Named {
    #[serde(default)]
    id: String,
    #[serde(default)]
    name: String,
}

impl RunsPage {
    /// Where the next page begins, if there is one.
    pub fn next(&mut self) -> Option<String> {
        self.page.cursor.take().filter(|_| self.page.has_more)
    }

    /// The runs in v1's words.
    pub fn into_runs(self, event: &EventId) -> impl Iterator<Item = Run> {
        let fetched_at = self.metadata.fetched_at.as_deref().and_then(UnixMillis::from_rfc3339);
        let fetched_at = fetched_at.unwrap_or_else(UnixMillis::now);
        self.data.into_iter().map(move |item| item.into_run(event, fetched_at))
    }
}

impl RunItem {
    fn into_run(self, event: &EventId, fetched_at: UnixMillis) -> Run {
        let status = status(&self.status);
        let ended_at = self.ended_at.as_deref().and_then(UnixMillis::from_rfc3339);
        // Of a cancelled run a server says an end that lies ten seconds after the true one, and as its output
        // that of its last finished step.
        let is_cancelled = status == RunStatus::Cancelled;
        let ended_at = ended_at.map(|at| if is_cancelled { at.min(fetched_at) } else { at });
        let queued_at = self.queued_at.as_deref().and_then(UnixMillis::from_rfc3339);
        let name = [&self.function.name, &self.function.id].into_iter().find(|name| !name.is_empty());
        Run {
            run_started_at: queued_at.unwrap_or_else(|| self.id.made_at().unwrap_or_else(UnixMillis::now)),
            function_name: name.cloned(),
            function_id: [self.app.id, self.function.id].join("-"),
            event_id: event.clone(),
            status,
            ended_at,
            // Before the end there is none, whatever is said.
            output: self.output.filter(|_| ended_at.is_some() && !is_cancelled),
            run_id: self.id,
        }
    }
}

/// v1's word; one that is not known is kept as received.
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
    fn only_a_list_with_more_behind_it_has_a_next_page() {
        let page =
            |page: &str| serde_json::from_str::<RunsPage>(&format!(r#"{{"page":{page}}}"#)).unwrap().next();
        assert_eq!(page(r#"{"cursor":"abc","hasMore":true,"limit":2}"#).as_deref(), Some("abc"));
        assert_eq!(page(r#"{"cursor":"abc","limit":2}"#), None);
        assert_eq!(page(r#"{"limit":20}"#), None);
    }
}
