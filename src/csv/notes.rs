//! What is said about a file beside its counts.

use std::collections::BTreeMap;

use serde::{
    Deserialize, Deserializer, Serialize,
    de::{
        IntoDeserializer,
        value::{Error, StringDeserializer},
    },
};

/// What was left out of a file, repaired in it or noticed about it: how often, and where first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Notes {
    #[serde(deserialize_with = "those_known")]
    notes: BTreeMap<Note, Noted>,
}

/// Without what only a newer version notes, of which a replica may work on the same database.
fn those_known<'de, D: Deserializer<'de>>(notes: D) -> Result<BTreeMap<Note, Noted>, D::Error> {
    let all = BTreeMap::<String, Noted>::deserialize(notes)?;
    let known = |(name, noted): (String, Noted)| {
        let name: StringDeserializer<Error> = name.into_deserializer();
        Note::deserialize(name).ok().map(|note| (note, noted))
    };
    Ok(all.into_iter().filter_map(known).collect())
}

/// How often something was noted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Noted {
    pub count: u64,
    /// The physical line of the first one.
    pub first_line: u64,
}

/// What can be noted about a file, in the order in which people read it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Note {
    /// Left out: the line that names the separator (`sep=;`).
    SeparatorLine,
    /// Left out: lines above the header.
    LinesAboveHeader,
    /// Left out: lines above the header that begin with `#`.
    CommentLines,
    /// Left out: spaces and invisible characters at the ends of names; counts the names.
    HeaderMarks,
    /// Left out: the delimiter at the end of every row.
    TrailingDelimiter,
    /// Left out: columns at the end that have no name and no content.
    EmptyColumns,
    /// Columns that have content and no name in the header, now called `column N`.
    UnnamedColumns,
    /// The first column has content and no name in the header, which is one field shorter; now called `column 1`.
    UnnamedFirstColumn,
    /// Left out: the line that is drawn below the header.
    HeaderRule,
    /// Left out: rows of delimiters only.
    EmptyRows,
    /// Left out: the header again, below itself.
    RepeatedHeaders,
    /// Left out: byte-order marks where files were joined.
    JoinMarks,
    /// Left out: the end mark of old DOS files (0x1A).
    EndMark,
    /// Records with a quote inside an unquoted field; the quote is text.
    QuotesInside,
    /// Records with text after a closing quote, which is kept.
    TextAfterQuote,
    /// Lines whose opening quote never closes, read as text.
    QuotesAsText,
    /// Records of the wrong width behind an empty line behind the table. The first of a second table is one.
    BelowTable,
    /// The last record, which is accepted: it begins with a word for a total.
    TotalsRow,
    /// The other records of tables of another width below the first; the line is that of the first such table.
    SecondTable,
}

impl Note {
    /// Whether something of the file is in neither output.
    #[must_use]
    pub fn is_left_out(self) -> bool {
        !matches!(
            self,
            Self::UnnamedColumns
                | Self::UnnamedFirstColumn
                | Self::QuotesInside
                | Self::TextAfterQuote
                | Self::QuotesAsText
                | Self::BelowTable
                | Self::TotalsRow
                | Self::SecondTable
        )
    }
}

impl Notes {
    /// Adds one on `line`. Lines must come in order.
    pub(super) fn add(&mut self, note: Note, line: u64) {
        self.add_several(note, 1, line);
    }

    /// Adds `count`, the first of them on `line`.
    pub(super) fn add_several(&mut self, note: Note, count: u64, line: u64) {
        if count > 0 {
            let noted = self.notes.entry(note).or_insert(Noted { count: 0, first_line: line });
            noted.count = noted.count.saturating_add(count);
        }
    }

    /// Adds the notes of the part of the file that follows.
    pub fn append(&mut self, following: &Self) {
        for (note, noted) in &following.notes {
            self.add_several(*note, noted.count, noted.first_line);
        }
    }

    pub fn iter(&self) -> impl Iterator<Item = (Note, Noted)> + '_ {
        self.notes.iter().map(|(note, noted)| (*note, *noted))
    }

    #[must_use]
    pub fn of(&self, note: Note) -> Option<Noted> {
        self.notes.get(&note).copied()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.notes.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_of_parts_add_up() {
        let (mut first, mut second) = (Notes::default(), Notes::default());
        first.add(Note::EmptyRows, 4);
        second.add(Note::EmptyRows, 9);
        second.add(Note::QuotesInside, 10);
        first.append(&second);
        let noted = |count, first_line| Some(Noted { count, first_line });
        assert_eq!((first.of(Note::EmptyRows), first.of(Note::QuotesInside)), (noted(2, 4), noted(1, 10)));
    }

    #[test]
    fn a_note_of_a_newer_version_is_left_out() {
        let of_both = r#"{"emptyRows":{"count":2,"firstLine":4},"ofTheFuture":{"count":1,"firstLine":1}}"#;
        let read: Notes = serde_json::from_str(of_both).expect("the form is known");
        let mut expected = Notes::default();
        expected.add(Note::EmptyRows, 4);
        expected.add(Note::EmptyRows, 9);
        assert_eq!(read, expected);
    }
}
