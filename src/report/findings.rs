//! The findings about a file: why rows failed, and problems of the header.

use super::{
    excerpt::Excerpt,
    format::{counted, grouped, rows},
    notes::row_notes,
};
use crate::{
    csv::{HeaderAt, Reason, Reasons},
    results::findings,
};

/// The most repeated names that are shown.
const MOST_NAMES: usize = 3;

/// The width of the shortest bar that is still visible, in per cent.
const SMALLEST_SHARE: u64 = 3;

/// The sections of an import that is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FindingsSection {
    /// None if nothing is to be noted.
    pub notes: Option<FileNotes>,
    /// None if no row failed.
    pub why_failed: Option<WhyFailed>,
}

/// What is noted about a file: about its header and its rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileNotes {
    /// The first names that several columns have.
    pub repeated: Vec<RepeatedName>,
    /// The number of further such names.
    pub more_repeated: usize,
    /// What was left out, repaired, or is left to a person.
    pub of_rows: Vec<String>,
}

/// A name that several columns have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RepeatedName {
    /// `two`.
    pub columns: String,
    /// Empty if these columns have no name.
    pub name: String,
}

/// The failed rows in groups.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WhyFailed {
    /// `412 rows`.
    pub rows: String,
    /// `5 reasons`.
    pub reasons: String,
    /// The largest first; the rows without a group of their own last.
    pub groups: Vec<Group>,
    /// Whether the examples show values of the file.
    pub shows_values: bool,
}

/// Rows that failed in one column for one reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    pub column: Column,
    pub reason: String,
    pub count: String,
    /// Its rows in per cent of those of the largest group; at least 3.
    pub share: u64,
    /// None for the rows without a group of their own.
    pub first: Option<Example>,
}

/// The column at fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Column {
    Named(String),
    /// A column with an empty name.
    Unnamed,
    WholeRow,
    /// Rows of different columns.
    Several,
}

/// The first row of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Example {
    pub line: String,
    /// Empty if the field is empty, or no values are shown.
    pub value: Excerpt<'static>,
}

impl FindingsSection {
    #[must_use]
    pub fn new(findings: &findings::Findings) -> Self {
        Self { notes: FileNotes::new(findings), why_failed: WhyFailed::new(&findings.reasons) }
    }

    /// The same without values of the file.
    #[must_use]
    pub fn without_values(mut self) -> Self {
        if let Some(why) = &mut self.why_failed {
            why.shows_values = false;
            for first in why.groups.iter_mut().filter_map(|group| group.first.as_mut()) {
                first.value = Excerpt::of(String::new());
            }
        }
        self
    }
}

impl FileNotes {
    fn new(findings: &findings::Findings) -> Option<Self> {
        let names = &findings.repeated_names;
        let repeated = names.iter().take(MOST_NAMES);
        // An earlier version read every file as one with a header.
        let reading = findings.read_as.as_ref().map(|read_as| &read_as.reading);
        let has_header = reading.is_none_or(|reading| reading.header.value != HeaderAt::None);
        let notes = Self {
            repeated: repeated
                .map(|(name, columns)| RepeatedName { columns: in_words(*columns), name: name.clone() })
                .collect(),
            more_repeated: names.len().saturating_sub(MOST_NAMES),
            of_rows: row_notes(&findings.notes, &findings.reasons, has_header),
        };
        (!notes.repeated.is_empty() || !notes.of_rows.is_empty()).then_some(notes)
    }

    /// Each note as a sentence.
    #[must_use]
    pub fn plain(&self) -> Vec<String> {
        let name = |repeated: &RepeatedName| match repeated.name.as_str() {
            "" => format!("{} columns without a name", repeated.columns),
            name => format!("{} columns named {name}", repeated.columns),
        };
        let mut names: Vec<String> = self.repeated.iter().map(name).collect();
        if self.more_repeated > 0 {
            names.push(format!("{} more repeated names", self.more_repeated));
        }
        let header = names.pop().map(|last| {
            let all = if names.is_empty() { last } else { format!("{} and {last}", names.join(", ")) };
            format!("The header has {all}. They are imported as they are.")
        });
        header.into_iter().chain(self.of_rows.iter().map(|note| format!("{note}."))).collect()
    }
}

impl WhyFailed {
    fn new(reasons: &Reasons) -> Option<Self> {
        let mut kept: Vec<&Reason> = reasons.groups.iter().collect();
        // Groups of the same size stay in the order of the file.
        kept.sort_by_key(|reason| std::cmp::Reverse(reason.count));
        let largest = kept.iter().map(|reason| reason.count).max()?.max(reasons.other);
        let share = |count: u64| (count.saturating_mul(100) / largest).max(SMALLEST_SHARE);
        let mut groups: Vec<Group> =
            kept.into_iter().map(|reason| Group::new(reason, share(reason.count))).collect();
        let words = match (groups.len(), reasons.other) {
            (count, 0) => counted(count as u64, "reason"),
            (count, _) => format!("more than {count} reasons"),
        };
        if reasons.other > 0 {
            groups.push(Group {
                column: Column::Several,
                reason: "other reasons".to_owned(),
                count: grouped(reasons.other),
                share: share(reasons.other),
                first: None,
            });
        }
        Some(Self { rows: rows(reasons.total()), reasons: words, groups, shows_values: true })
    }
}

impl Group {
    fn new(reason: &Reason, share: u64) -> Self {
        Self {
            column: match reason.column.as_deref() {
                None => Column::WholeRow,
                Some("") => Column::Unnamed,
                Some(name) => Column::Named(name.to_owned()),
            },
            reason: reason.reason.clone(),
            count: grouped(reason.count),
            share,
            first: Some(Example { line: grouped(reason.line), value: Excerpt::of(reason.example.clone()) }),
        }
    }
}

/// Small numbers as words, as in a sentence.
fn in_words(number: usize) -> String {
    const WORDS: [&str; 10] = ["no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"];
    WORDS.get(number).map_or_else(|| grouped(number as u64), |word| (*word).to_owned())
}
