//! How a file is read, as the API writes it and as programs ask for it.

use serde::{Deserialize, Serialize};

use crate::{
    csv::{Choices, Escape, FirstRows, HeaderAt, How, Note, Notes, Part, Quote, ReadAs},
    http::reading_fields::RefusedField,
    report::{findings::FindingsSection, reading::reading_line},
    results::findings::Findings,
};

/// How a file is read. The values are those that a request may choose, except that 0 rows of a header are none.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Reading)]
pub struct ReadingJson {
    /// Of a workbook.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sheet: Option<TextPart>,
    /// The WHATWG's name.
    pub encoding: TextPart,
    /// comma, semicolon, tab, pipe, space, colon, none, or the separator itself.
    pub delimiter: TextPart,
    /// double, single or none.
    pub quote: QuotePart,
    /// doubled or backslash.
    pub escape: EscapePart,
    /// The line of the header, or none.
    pub header: HeaderPart,
    /// 1 to 3, or 0 if there is no header.
    pub header_rows: NumberPart,
    /// What of the file is in neither download.
    pub left_out: Vec<LeftOutJson>,
    /// What the page says about it.
    pub text: String,
}

/// Declares a part of a reading. One generic type for all of them would get names such as `Part_v8` in the document.
macro_rules! part {
    ($name:ident, $value:ident) => {
        /// A part of a reading.
        #[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
        pub struct $name {
            pub value: $value,
            pub how: HowJson,
        }

        impl $name {
            fn of<V>(part: Part<V>, written: impl FnOnce(V) -> $value) -> Self {
                Self { value: written(part.value), how: part.how.into() }
            }
        }
    };
}

part!(TextPart, String);
part!(QuotePart, QuoteName);
part!(EscapePart, EscapeName);
part!(HeaderPart, NumberOrWord);
part!(NumberPart, u8);

/// How sure a part of a reading is.
#[derive(Clone, Copy, Debug, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = How)]
pub enum HowJson {
    Certain,
    Guess,
    Chosen,
}

/// The quote around fields, as it is written and chosen.
#[derive(Clone, Copy, Debug, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = Quote)]
pub enum QuoteName {
    Double,
    Single,
    None,
}

/// How a quote is written inside quotes.
#[derive(Clone, Copy, Debug, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = Escape)]
pub enum EscapeName {
    Doubled,
    Backslash,
}

/// Something that was left out.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = LeftOut)]
pub struct LeftOutJson {
    /// emptyRows, commentLines, linesAboveHeader and the like.
    #[schema(value_type = String, example = "emptyRows")]
    pub what: Note,
    pub count: u64,
    /// The line of the first one.
    pub first_line: u64,
}

/// The first rows of a file, as they would be read. Long values are cut.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = FirstRows)]
pub struct FirstRowsJson {
    /// The names of the columns, at most 20: column 1 and so on, if the file has no header.
    pub header: Vec<String>,
    /// How many columns the file has.
    pub columns: usize,
    /// At most 5.
    pub rows: Vec<FirstRowJson>,
}

/// One of the first rows.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = FirstRow)]
pub struct FirstRowJson {
    /// The line on which it begins.
    pub line: u64,
    /// The values of the columns in header.
    pub fields: Vec<String>,
    /// Why it would fail. Absent if it would not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// The line of a header, or a word.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(untagged, expecting = "must be a whole number or a string")]
pub enum NumberOrWord {
    Number(i64),
    Word(String),
}

/// How a program wants a file to be read. What is absent, or the word detect, is detected. A number may be written as a
/// string, as in a form.
#[derive(Clone, Debug, Default, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(example = json!({ "delimiter": "semicolon", "header": 6 }))]
pub struct ReadingRequest {
    /// Of a workbook.
    sheet: Option<String>,
    encoding: Option<String>,
    delimiter: Option<String>,
    quote: Option<String>,
    escape: Option<String>,
    header: Option<NumberOrWord>,
    header_rows: Option<NumberOrWord>,
}

impl ReadingRequest {
    /// # Errors
    /// A part does not allow its value.
    pub fn choices(self) -> Result<Choices, RefusedField> {
        let Self { sheet, encoding, delimiter, quote, escape, header, header_rows } = self;
        let written = |value: NumberOrWord| match value {
            NumberOrWord::Number(number) => number.to_string(),
            NumberOrWord::Word(word) => word,
        };
        let values =
            [sheet, delimiter, encoding, quote, escape, header.map(written), header_rows.map(written)];
        let mut choices = Choices::default();
        for (field, value) in Choices::FIELDS.into_iter().zip(values) {
            if let Some(value) = value {
                choices.set(field, &value).map_err(|error| RefusedField { field, error })?;
            }
        }
        Ok(choices)
    }
}

impl ReadingJson {
    /// `columns` is how many the file has, if that is known.
    #[must_use]
    pub fn new(read_as: &ReadAs, columns: Option<usize>) -> Self {
        let reading = &read_as.reading;
        let header = |header| match header {
            HeaderAt::None => NumberOrWord::Word("none".to_owned()),
            HeaderAt::Line(line) => NumberOrWord::Number(i64::try_from(line.get()).unwrap_or(i64::MAX)),
        };
        let sheet = read_as.sheet.as_ref();
        Self {
            sheet: sheet
                .map(|sheet| TextPart { value: sheet.name.field_value().to_owned(), how: sheet.how.into() }),
            encoding: TextPart::of(reading.encoding, |encoding| encoding.name().to_owned()),
            delimiter: TextPart::of(reading.delimiter, |delimiter| delimiter.name().to_owned()),
            quote: QuotePart::of(reading.quote, QuoteName::from),
            escape: EscapePart::of(reading.escape, EscapeName::from),
            header: HeaderPart::of(reading.header, header),
            header_rows: NumberPart::of(reading.header_rows, |rows| rows),
            left_out: left_out(&reading.notes),
            text: reading_line(read_as, columns),
        }
    }

    /// As a run has read its file, with what it found in all rows. None if an earlier version has read it, or nothing.
    #[must_use]
    pub fn of(findings: &Findings) -> Option<Self> {
        let columns = findings.first_rows.as_ref().map(|first| first.columns);
        let reading = Self::new(findings.read_as.as_ref()?, columns);
        let notes = FindingsSection::new(findings).notes.map(|notes| notes.plain()).unwrap_or_default();
        let sentences: Vec<String> = std::iter::once(reading.text).chain(notes).collect();
        Some(Self { left_out: left_out(&findings.notes), text: sentences.join(" "), ..reading })
    }
}

impl FirstRowsJson {
    /// The most rows. Their text is limited already.
    const MOST: usize = 5;

    #[must_use]
    pub fn new(first: &FirstRows) -> Self {
        let rows = first.rows.iter().take(Self::MOST).map(|row| FirstRowJson {
            line: row.line,
            fields: row.cells.clone(),
            reason: row.failure.clone(),
        });
        Self { header: first.header.clone(), columns: first.columns, rows: rows.collect() }
    }
}

impl From<Quote> for QuoteName {
    fn from(quote: Quote) -> Self {
        match quote {
            Quote::Double => Self::Double,
            Quote::Single => Self::Single,
            Quote::None => Self::None,
        }
    }
}

impl From<Escape> for EscapeName {
    fn from(escape: Escape) -> Self {
        match escape {
            Escape::Doubled => Self::Doubled,
            Escape::Backslash => Self::Backslash,
        }
    }
}

impl From<How> for HowJson {
    fn from(how: How) -> Self {
        match how {
            How::Certain => Self::Certain,
            How::Guess => Self::Guess,
            How::Chosen => Self::Chosen,
        }
    }
}

fn left_out(notes: &Notes) -> Vec<LeftOutJson> {
    let left_out = notes.iter().filter(|(note, _)| note.is_left_out());
    left_out
        .map(|(note, noted)| LeftOutJson { what: note, count: noted.count, first_line: noted.first_line })
        .collect()
}
