//! The form that changes how a file is read, over its first rows.

use std::borrow::Cow;

use askama::{Template, filters::HtmlSafe};

use super::Html;

use crate::{
    base::ids::ImportId,
    csv::{Choices, Delimiter, Sheet, SheetName, Sheets},
    http::reading_fields::{ReadingFields, RefusedField},
    imports::{ImportState, RunSnapshot, Snapshot},
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
    /// The values that the fields show.
    shown: ReadingFields,
    now: PresentValues,
    /// Of a workbook.
    sheets: Option<Sheets>,
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
    /// In characters.
    pub longest: usize,
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
        let read_as = import.runs.iter().find_map(RunSnapshot::read_as);
        let mut form = Self {
            import_id: import.row.id,
            is_held,
            from: String::new(),
            is_open: is_held,
            fields: Vec::new(),
            shown: ReadingFields::from(&import.row.choices),
            now: read_as.map(present_values).unwrap_or_default(),
            sheets: None,
            preview: None,
        };
        form.fill(None);
        Some(form)
    }

    /// Offers the sheets of a workbook.
    pub fn offer_sheets(&mut self, sheets: Option<Sheets>) {
        self.sheets = sheets;
        self.fill(None);
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
            self.shown.clone_from(sent);
        }
        (self.is_open, self.preview) = (true, preview);
        self.fill(refused.as_ref());
    }

    fn fill(&mut self, refused: Option<&RefusedField>) {
        let Self { shown, now, sheets, .. } = self;
        let field = |name, label, listed, other| make(shown, refused, now, name, label, listed, other);
        // Without the list, a sheet that was chosen can still be left to detection.
        let has_sheet = shown.values_of("sheet").any(|value| !matches!(value, "" | "detect"));
        let sheet = (sheets.is_some() || has_sheet).then(|| {
            let others = sheets.as_ref().is_some_and(|sheets| sheets.more > 0);
            let other = others.then_some(("or another", SheetName::LONGEST, false));
            field("sheet", "Sheet", sheets.as_ref().map(listed_sheets).unwrap_or_default(), other)
        });
        // The texts of a workbook have no encoding to choose.
        let encoding = sheets.is_none().then(|| field("encoding", "Encoding", encodings(), None));
        let separators = field(
            "delimiter",
            "Separator",
            listed(&SEPARATORS),
            Some(("or another", Delimiter::LONGEST, false)),
        );
        self.fields = [sheet, Some(separators), encoding].into_iter().flatten().collect();
        self.fields.extend([
            field("quote", "Quote", listed(&QUOTES), None),
            field("escape", "Quotes inside quotes", listed(&ESCAPES), None),
            field("header", "Header", header_lines(), Some(("or line", LONGEST_LINE, true))),
            field("header_rows", "Header rows", listed(&ROWS), None),
        ]);
        // Nothing has read the file of a held import, so no value stands beside its fields.
        let Some(preview) = self.preview.as_ref().filter(|_| self.is_held) else { return };
        for field in &mut self.fields {
            if let (Some(detect), Some(found)) = (field.options.first_mut(), preview.detected.get(field.name))
            {
                detect.label = format!("Detect ({found})").into();
            }
        }
    }

    /// Why a held file cannot be read as it is chosen: its import would fail.
    #[must_use]
    pub fn unreadable(&self) -> Option<&str> {
        let preview = self.preview.as_ref().filter(|preview| self.is_held && preview.is_unreadable)?;
        Some(&preview.line)
    }

    /// The address that the form is sent to.
    #[must_use]
    pub fn action(&self) -> &'static str {
        if self.is_held { "start" } else { "retry" }
    }
}

/// The digits of the largest line number.
const LONGEST_LINE: usize = 18;

/// The sheets of a workbook, each with what a person should know before choosing it.
fn listed_sheets(sheets: &Sheets) -> Listed {
    let label = |sheet: &Sheet| {
        let name = sheet.name.as_str();
        match (sheet.is_hidden, sheet.has_rows == Some(false)) {
            (false, false) => name.to_owned(),
            (true, false) => format!("{name} (hidden)"),
            (false, true) => format!("{name} (empty)"),
            (true, true) => format!("{name} (hidden, empty)"),
        }
    };
    sheets
        .listed
        .iter()
        .map(|sheet| (sheet.name.field_value().to_owned().into(), label(sheet).into()))
        .collect()
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
    refused: Option<&RefusedField>,
    now: &PresentValues,
    name: &'static str,
    label: &'static str,
    listed: Listed,
    other: Option<(&'static str, usize, bool)>,
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
        other: other.map(|(label, longest, is_line)| OtherValue {
            label,
            value: unlisted.unwrap_or_default().to_owned(),
            longest,
            is_line,
        }),
        now: now.get(name).cloned(),
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
