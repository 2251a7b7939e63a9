//! The form that changes how a file is read, over its first rows.

use std::borrow::Cow;

use askama::{Template, filters::HtmlSafe};

use super::Html;

use crate::{
    base::ids::ImportId,
    csv::{Choices, Reading},
    http::reading_fields::{ReadingFields, RefusedField},
    imports::{ImportState, Snapshot},
    report::{
        actions::may_read_otherwise,
        chosen::choices_in_words,
        encodings::offered_encodings,
        present_values::{PresentValues, present_values},
        preview::PreviewReport,
    },
};

/// The part of an import's page in which a person changes how its file is read. Polls leave it as it is.
#[derive(Clone, Debug, Template)]
#[template(path = "fragments/change_form.html")]
pub struct ChangeForm<'a> {
    pub import_id: ImportId,
    /// The import has not started: the form starts it. Otherwise it makes a new import.
    pub is_held: bool,
    /// The query of the dashboard that led here, or empty.
    pub from: String,
    /// Unfolded from the beginning.
    pub is_open: bool,
    pub fields: Vec<FormField>,
    /// None until the first rows are requested.
    pub preview: Option<PreviewReport<'a>>,
}

impl HtmlSafe for ChangeForm<'_> {}

/// A part of a reading, as the form has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FormField {
    /// The name of the form field.
    pub name: &'static str,
    pub label: &'static str,
    pub options: Vec<Offered>,
    /// For a value that is in no list.
    pub other: Option<OtherValue>,
    /// How this part is read now.
    pub now: Option<String>,
    /// Why the value was refused.
    pub error: Option<String>,
}

/// A value that a list offers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offered {
    pub value: Cow<'static, str>,
    pub label: Cow<'static, str>,
    pub is_chosen: bool,
}

/// The field beside a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OtherValue {
    pub label: &'static str,
    pub value: String,
    /// Only whole numbers from 1 are allowed.
    pub is_line: bool,
}

/// The lines that the list of headers offers.
const LISTED_LINES: u64 = 10;

impl<'a> ChangeForm<'a> {
    /// None if the file of `import` cannot be read otherwise, at least not now.
    #[must_use]
    pub fn of(import: &Snapshot) -> Option<Self> {
        let state = import.state();
        if !may_read_otherwise(import, state) {
            return None;
        }
        let is_held = state == ImportState::Held;
        let reading = import.runs.iter().find_map(|run| run.read_as()).map(|read_as| &read_as.reading);
        Some(Self {
            import_id: import.row.id,
            is_held,
            from: String::new(),
            is_open: is_held,
            fields: fields(&ReadingFields::from(&import.row.choices), reading, None),
            preview: None,
        })
    }

    /// Unfolds the form, with what was sent, the refused field, and the first rows as they would be read.
    pub fn show(
        &mut self,
        sent: &ReadingFields,
        refused: Option<RefusedField>,
        preview: Option<PreviewReport<'a>>,
    ) {
        // Without fields, it shows what was chosen with the upload.
        if !sent.is_empty() {
            for (field, anew) in self.fields.iter_mut().zip(fields(sent, None, refused)) {
                *field = FormField { now: field.now.take(), ..anew };
            }
        }
        (self.is_open, self.preview) = (true, preview);
    }

    /// The address that the form is sent to.
    #[must_use]
    pub fn action(&self) -> &'static str {
        if self.is_held { "start" } else { "retry" }
    }
}

/// The form's fields with the values that were sent.
fn fields(sent: &ReadingFields, reading: Option<&Reading>, refused: Option<RefusedField>) -> Vec<FormField> {
    let mut now = reading.map(present_values).unwrap_or_default();
    let mut field = |name: &'static str,
                     label,
                     listed: Vec<(Cow<'static, str>, Cow<'static, str>)>,
                     other| { make(sent, refused, &mut now, name, label, listed, other) };
    vec![
        field("delimiter", "Separator", listed(&SEPARATORS), Some(("or another", false))),
        field("encoding", "Encoding", encodings(), None),
        field("quote", "Quote", listed(&QUOTES), None),
        field("escape", "Quotes inside quotes", listed(&ESCAPES), None),
        field("header", "Header", header_lines(), Some(("or line", true))),
        field("header_rows", "Header rows", listed(&ROWS), None),
    ]
}

const SEPARATORS: [(&str, &str); 6] = [
    ("comma", "Comma ,"),
    ("semicolon", "Semicolon ;"),
    ("tab", "Tab"),
    ("pipe", "Pipe |"),
    ("space", "Space"),
    ("colon", "Colon :"),
];
const QUOTES: [(&str, &str); 3] = [("double", "Double \""), ("single", "Single '"), ("none", "None")];
const ESCAPES: [(&str, &str); 2] = [("doubled", "Doubled"), ("backslash", "After a backslash \\")];
const ROWS: [(&str, &str); 3] = [("1", "1"), ("2", "2"), ("3", "3")];

type Listed = Vec<(Cow<'static, str>, Cow<'static, str>)>;

fn listed(values: &[(&'static str, &'static str)]) -> Listed {
    values.iter().map(|(value, label)| ((*value).into(), (*label).into())).collect()
}

fn encodings() -> Listed {
    offered_encodings().map(|(value, label)| (value.into(), label.into())).collect()
}

fn header_lines() -> Listed {
    let lines = (1..=LISTED_LINES).map(|line| (line.to_string().into(), format!("Line {line}").into()));
    [("none".into(), "No header".into())].into_iter().chain(lines).collect()
}

fn make(
    sent: &ReadingFields,
    refused: Option<RefusedField>,
    now: &mut PresentValues,
    name: &'static str,
    label: &'static str,
    listed: Listed,
    other: Option<(&'static str, bool)>,
) -> FormField {
    let given: Vec<&str> =
        sent.values_of(name).filter(|value| !value.is_empty() && *value != "detect").collect();
    let is_listed = |value: &str| listed.iter().any(|(listed, _)| listed == value);
    let in_list = given.iter().rev().find(|value| is_listed(value)).copied();
    let unlisted = given.iter().rev().find(|value| !is_listed(value)).copied();
    let option = |value: Cow<'static, str>, label, chosen: Option<&str>| {
        let is_chosen = chosen == Some(&*value);
        Offered { value, label, is_chosen }
    };
    let chosen = in_list.or(unlisted.filter(|_| other.is_none()));
    let mut options = vec![option("detect".into(), "Detect".into(), None)];
    // A list keeps a value that it does not offer.
    let kept = chosen
        .filter(|value| !is_listed(value))
        .map(|value| (value.to_owned().into(), value.to_owned().into()));
    options.extend(listed.iter().cloned().chain(kept).map(|(value, label)| option(value, label, chosen)));
    FormField {
        name,
        label,
        options,
        other: other.map(|(label, is_line)| OtherValue {
            label,
            value: unlisted.unwrap_or_default().to_owned(),
            is_line,
        }),
        now: now.remove(name),
        error: refused.filter(|refused| refused.field == name).map(|refused| refused.error.to_string()),
    }
}

/// Offers to read a file as its owner chose for the last one with the same header.
#[derive(Clone, Debug, Template)]
#[template(path = "fragments/last_time.html")]
pub struct LastTime {
    pub import_id: ImportId,
    pub is_held: bool,
    /// What was chosen, in words.
    pub words: String,
    pub choices: ReadingFields,
}

impl HtmlSafe for LastTime {}

impl LastTime {
    #[must_use]
    pub fn new(import: &Snapshot, choices: &Choices) -> Self {
        Self {
            import_id: import.row.id,
            is_held: import.state() == ImportState::Held,
            words: choices_in_words(choices),
            choices: ReadingFields::from(choices),
        }
    }
}

/// The first rows as they would be read, which `GET /imports/{id}/rows` returns alone.
#[derive(Clone, Debug, Template)]
#[template(path = "fragments/preview.html")]
pub struct PreviewFragment<'a> {
    pub preview: PreviewReport<'a>,
}

impl HtmlSafe for PreviewFragment<'_> {}
