//! `/?state=&time=&name=&before=&after=`: the part of the history that the dashboard shows.

use std::time::Duration;

use serde::Deserialize;
use url::form_urlencoded;

use crate::{
    base::ids::{ImportId, UserId},
    http::error::Error,
    imports::{HistoryCursor, HistoryPage, Imports, Snapshot},
    report::{ReportInputs, history::HistoryRow, moment::Moment},
    store::history::{Filter, StateFilter},
    web::views::{Choice, HistoryFilter, HistorySection},
};

/// Rows on one page.
const ROWS: u32 = 50;

/// In seconds.
const DAY: u64 = 24 * 60 * 60;

/// The values of the field `state`.
const STATES: [(&str, &str, Option<StateFilter>); 10] = [
    ("", "Any status", None),
    ("not-started", "Not started", Some(StateFilter::Held)),
    ("in-progress", "In progress", Some(StateFilter::InProgress)),
    ("completed", "Completed", Some(StateFilter::Completed)),
    ("failed-rows", "With failed rows", Some(StateFilter::WithFailedRows)),
    ("failed", "Failed", Some(StateFilter::Failed)),
    ("cancelled", "Cancelled", Some(StateFilter::Cancelled)),
    ("skipped", "Skipped", Some(StateFilter::Skipped)),
    ("nobody-took-it", "Nobody took it", Some(StateFilter::NoFunction)),
    ("lost", "Lost", Some(StateFilter::Lost)),
];

/// The values of the field `time`.
const TIMES: [(&str, &str, Option<Duration>); 5] = [
    ("", "Any time", None),
    ("day", "Last 24 hours", Some(Duration::from_secs(DAY))),
    ("week", "Last 7 days", Some(Duration::from_secs(7 * DAY))),
    ("month", "Last 30 days", Some(Duration::from_secs(30 * DAY))),
    ("year", "Last year", Some(Duration::from_secs(365 * DAY))),
];

/// The query as it was sent. An unknown state or time is ignored, like an empty field.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct HistoryQuery {
    #[serde(default)]
    state: String,
    #[serde(default)]
    time: String,
    #[serde(default)]
    name: String,
    /// For the page of imports older than this one.
    #[serde(default)]
    before: String,
    /// For the page of imports newer than this one.
    #[serde(default)]
    after: String,
}

/// The fields of a [`HistoryQuery`].
const FIELDS: [&str; 5] = ["state", "time", "name", "before", "after"];

impl HistoryQuery {
    /// Whether a query has empty fields of ours, as a browser sends the form. Such an address should not be
    /// bookmarked or shared.
    #[must_use]
    pub fn has_empty_fields(query: &str) -> bool {
        form_urlencoded::parse(query.as_bytes())
            .any(|(name, value)| value.is_empty() && FIELDS.contains(&&*name))
    }

    fn filter(&self, inputs: &ReportInputs) -> Filter {
        let state = STATES.iter().find(|(value, ..)| *value == self.state).and_then(|(.., state)| *state);
        let within = TIMES.iter().find(|(value, ..)| *value == self.time).and_then(|(.., within)| *within);
        let since = within.map(|within| inputs.now.minus(within));
        Filter::new(state, since, &self.name)
    }

    /// A malformed import id gets the same answer as an unknown one.
    fn cursor(&self) -> Result<HistoryCursor, Error> {
        let id = |text: &str| text.parse::<ImportId>().map_err(|_| Error::NotFound);
        match (self.before.as_str(), self.after.as_str()) {
            ("", "") => Ok(HistoryCursor::Newest),
            ("", after) => id(after).map(HistoryCursor::After),
            (before, _) => id(before).map(HistoryCursor::Before),
        }
    }

    fn form(&self, is_narrow: bool) -> HistoryFilter {
        HistoryFilter {
            states: STATES.map(|(value, label, _)| choice(value, label, &self.state)).into(),
            times: TIMES.map(|(value, label, _)| choice(value, label, &self.time)).into(),
            name: self.name.clone(),
            is_narrow,
        }
    }

    /// The path of the page of imports `before` or `after` an import, with the same filter.
    fn page(&self, end: &str, import: ImportId) -> String {
        let mut other = Self { before: String::new(), after: String::new(), ..self.clone() };
        match end {
            "before" => other.before = import.to_string(),
            _ => other.after = import.to_string(),
        }
        other.path()
    }

    /// The path of the dashboard with this part of the history.
    #[must_use]
    pub fn path(&self) -> String {
        if self.written().is_empty() { "/".to_owned() } else { self.section_path() }
    }

    /// The same path, scrolled to the history.
    #[must_use]
    pub fn section_path(&self) -> String {
        match self.written() {
            query if query.is_empty() => "/#history".to_owned(),
            query => format!("/?{query}#history"),
        }
    }

    /// The query that makes an import's pages lead back here: `?from=`, or empty.
    #[must_use]
    pub fn way_back(&self) -> String {
        match self.written() {
            query if query.is_empty() => query,
            query => {
                format!("?from={}", form_urlencoded::byte_serialize(query.as_bytes()).collect::<String>())
            }
        }
    }

    /// The non-empty fields as a query.
    fn written(&self) -> String {
        let values = [&self.state, &self.time, &self.name, &self.before, &self.after];
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(FIELDS.into_iter().zip(values).filter(|(_, value)| !value.is_empty()));
        query.finish()
    }

    /// The history's fields of a query.
    #[must_use]
    pub fn read(query: &str) -> Self {
        let mut read = Self::default();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            match &*name {
                "state" => read.state = value.into_owned(),
                "time" => read.time = value.into_owned(),
                "name" => read.name = value.into_owned(),
                "before" => read.before = value.into_owned(),
                "after" => read.after = value.into_owned(),
                _ => {}
            }
        }
        read
    }
}

fn choice(value: &'static str, label: &'static str, chosen: &str) -> Choice {
    Choice { value, label, is_chosen: value == chosen }
}

/// The page that `query` selects from the imports of `owner` that are not `shown` elsewhere on the dashboard.
pub async fn find(
    owner: UserId,
    imports: &Imports,
    shown: &[Snapshot],
    query: &HistoryQuery,
    inputs: &ReportInputs,
) -> Result<HistoryPage, Error> {
    Ok(imports.history(owner, shown, &query.filter(inputs), query.cursor()?, ROWS).await?)
}

/// The section of the page that was found for `query`.
#[must_use]
pub fn section<'a>(page: &'a HistoryPage, query: &HistoryQuery, inputs: &ReportInputs) -> HistorySection<'a> {
    HistorySection {
        rows: page.imports.iter().map(|import| HistoryRow::new(import, inputs)).collect(),
        filter: query.form(query.filter(inputs).is_narrow()),
        way_back: query.way_back(),
        total: page.total,
        newer: page.newer,
        newer_page: page.newer_after.map(|import| query.page("after", import)),
        older_page: page.older_before.map(|import| query.page("before", import)),
        searched_to: page.searched_to.map(|at| Moment::new(at, inputs.now)),
        searches_newer: matches!(query.cursor(), Ok(HistoryCursor::After(_))),
    }
}
