//! An import as the API gives it, as far as the commands use it.

use serde::Deserialize;
use serde_json::{Value, value::RawValue};

use super::{
    ending::Ending,
    printed::{plain, plain_json},
};
use crate::base::ids::ImportId;

/// An import, and the JSON that it came as.
#[derive(Clone, Debug)]
pub struct ToldImport {
    pub id: ImportId,
    pub import: ImportTold,
    json: Box<RawValue>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ImportTold {
    id: String,
    pub file_name: String,
    pub state: String,
    pub state_text: String,
    pub received_at: String,
    pub finished_at: Option<String>,
    pub source_url: Option<String>,
    pub parent_id: Option<String>,
    pub reading: Option<ReadingTold>,
    pub first_rows: Option<FirstRowsTold>,
    pub runs: Vec<RunTold>,
    pub failures: Option<Vec<FailureTold>>,
}

#[derive(Clone, Debug, Deserialize)]
pub struct ReadingTold {
    pub text: String,
}

#[derive(Clone, Debug, Deserialize)]
pub struct FirstRowsTold {
    pub header: Vec<String>,
    pub columns: usize,
    pub rows: Vec<FirstRowTold>,
}

#[derive(Clone, Debug, Deserialize)]
pub struct FirstRowTold {
    pub line: u64,
    pub fields: Vec<String>,
    pub reason: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RunTold {
    function_name: Option<String>,
    status: String,
    pub processed_items: Option<u64>,
    pub failed_items: Option<u64>,
    progress: Option<ProgressTold>,
    output: Option<Value>,
}

#[derive(Clone, Debug, Deserialize)]
struct ProgressTold {
    fraction: Option<f64>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FailureTold {
    pub column: Option<String>,
    pub reason: String,
    pub count: u64,
    pub first_line: u64,
    pub example: String,
}

/// Runboard's own function.
const OWN_FUNCTION: &str = "process-csv-upload";

impl ToldImport {
    /// None if it is not an import.
    pub fn parse(json: Box<RawValue>) -> Option<Self> {
        let import: ImportTold = serde_json::from_str(json.get()).ok()?;
        Some(Self { id: import.id.parse().ok()?, import, json })
    }

    /// The whole import on one line.
    pub fn json(&self) -> String {
        plain_json(self.json.get())
    }
}

impl ImportTold {
    /// `Completed: 2 rows processed in 0.1 s.`
    pub fn state_line(&self) -> String {
        plain(&format!("{}: {}", self.state, self.state_text))
    }

    /// How it ended. None while it is not over.
    pub fn ending(&self, fails_on_rows: bool) -> Option<Ending> {
        match self.state.as_str() {
            "Completed" if fails_on_rows && self.failed_rows() > 0 => Some(Ending::RowsFailed),
            "Completed" => Some(Ending::Completed),
            "Failed" => Some(Ending::Failed),
            "Cancelled" => Some(Ending::Cancelled),
            "Skipped" | "Lost" | "Held" => Some(Ending::Other),
            "Accepted" | "Sent" | "Running" => None,
            // Of no function within a day, and any state of a newer server.
            _ => self.finished_at.is_some().then_some(Ending::Other),
        }
    }

    /// Whether it was started, and is over.
    pub fn has_ended(&self) -> bool {
        !self.is_held() && self.ending(false).is_some()
    }

    /// Whether it waits to be started.
    pub fn is_held(&self) -> bool {
        self.state == "Held"
    }

    /// Whether nothing can happen to it without a person.
    pub fn is_waiting_for_a_function(&self) -> bool {
        self.state == "NoFunction"
    }

    fn failed_rows(&self) -> u64 {
        self.own_or_first(|run| run.failed_items).unwrap_or(0)
    }

    /// What the run returned, on one line. None if it did not complete.
    pub fn output(&self) -> Option<String> {
        let output = self.own_or_first(|run| run.output.clone().filter(|_| run.status == "Completed"))?;
        let counts = match (&output["status"], &output["processedItems"], &output["failedItems"]) {
            (Value::String(status), Value::Number(processed), Value::Number(failed))
                if output.as_object().is_some_and(|members| members.len() == 3) =>
            {
                // The order in which people read them.
                let status = Value::String(status.clone());
                Some(format!(
                    "{{\"status\":{status},\"processedItems\":{processed},\"failedItems\":{failed}}}"
                ))
            }
            _ => None,
        };
        Some(plain_json(&counts.unwrap_or_else(|| output.to_string())))
    }

    /// How much of the file is read, from 0 to 1.
    pub fn fraction(&self) -> f64 {
        let fraction = self.own_or_first(|run| run.progress.as_ref()?.fraction);
        fraction.filter(|fraction| (0.0..=1.0).contains(fraction)).unwrap_or(0.0)
    }

    /// Processed and failed rows, as far as they are known.
    pub fn counts(&self) -> (Option<u64>, Option<u64>) {
        (self.own_or_first(|run| run.processed_items), self.own_or_first(|run| run.failed_items))
    }

    /// What Runboard's own function has, or the first that has it.
    fn own_or_first<T>(&self, of: impl Fn(&RunTold) -> Option<T>) -> Option<T> {
        let is_own = |run: &&RunTold| run.function_name.as_deref() == Some(OWN_FUNCTION);
        self.runs.iter().filter(is_own).find_map(&of).or_else(|| self.runs.iter().find_map(&of))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(state: &str, more: &str) -> ImportTold {
        let json = format!(
            r#"{{ "id": "01KBC8Z3V5F0M3E2J8W4R7T9QX", "fileName": "a.csv", "state": "{state}",
                "stateText": "", "receivedAt": "", {more} }}"#
        );
        serde_json::from_str(&json).unwrap()
    }

    #[test]
    fn an_import_ends_as_its_state_says() {
        let rows = r#""runs": [{ "status": "Completed", "failedItems": 1 }]"#;
        let late = r#""runs": [], "finishedAt": "2026-11-23T20:43:26Z""#;
        for (state, more, ending) in [
            ("Completed", rows, Some(Ending::RowsFailed)),
            ("Completed", r#""runs": []"#, Some(Ending::Completed)),
            ("Failed", rows, Some(Ending::Failed)),
            ("Cancelled", rows, Some(Ending::Cancelled)),
            ("Skipped", late, Some(Ending::Other)),
            ("Lost", rows, Some(Ending::Other)),
            ("Held", rows, Some(Ending::Other)),
            ("NoFunction", rows, None),
            ("NoFunction", late, Some(Ending::Other)),
            ("Sent", rows, None),
            ("Running", rows, None),
            ("Unheard", rows, None),
            ("Unheard", late, Some(Ending::Other)),
        ] {
            assert_eq!(told(state, more).ending(true), ending, "{state} {more}");
        }
        assert_eq!(told("Completed", rows).ending(false), Some(Ending::Completed));
    }

    #[test]
    fn the_output_is_that_of_a_completed_run_and_of_our_function_first() {
        let output = |runs: &str| told("Completed", &format!(r#""runs": [{runs}]"#)).output();
        let other = r#"{ "functionName": "mine", "status": "Completed", "output": { "n": "\u009b" } }"#;
        let own = r#"{ "functionName": "process-csv-upload", "status": "Completed",
            "output": { "failedItems": 1, "processedItems": 2, "status": "success" } }"#;
        let counts = r#"{"status":"success","processedItems":2,"failedItems":1}"#;
        assert_eq!(output(&format!("{other}, {own}")).as_deref(), Some(counts));
        assert_eq!(output(other).as_deref(), Some(r#"{"n":"\u009b"}"#));
        assert_eq!(output(r#"{ "status": "Failed", "output": { "name": "Error" } }"#), None);
    }
}
