//! The first records of a file as they are read, made safe to show.

use serde::{Deserialize, Serialize};

use super::{
    Layout, Note,
    excerpt::excerpt,
    fields::Fields,
    layout::front,
    past::Past,
    records::{JudgedRecord, RecordSink, Records},
    split::without_half_line_end,
    verdict::if_any_in_current_words,
};

/// The most records that are kept.
const MOST_ROWS: usize = 7;
/// The most columns that are kept.
const MOST_COLUMNS: usize = 20;
/// The most bytes of text in all. The record that exceeds it is left out with all records after it; the first
/// record is always kept.
const MOST_TEXT: usize = 8 << 10;

/// The front of a file: its header and its first records. All text consists of
/// [excerpts](super::Reason::example).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FirstRows {
    /// The physical line on which the header begins; the lines before it are empty.
    pub header_line: u64,
    /// The names of the first columns.
    pub header: Vec<String>,
    /// The number of all columns.
    pub columns: usize,
    pub rows: Vec<FirstRow>,
    /// The file is one of our `failed.csv` files, whose own columns are left out here.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_failed_csv: bool,
}

/// One of the first records.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FirstRow {
    /// The physical line on which it begins.
    pub line: u64,
    /// Its first fields. If the record is too long to be split, its front.
    pub cells: Vec<String>,
    /// Why the record fails; None if it does not.
    #[serde(default, deserialize_with = "if_any_in_current_words", skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
    /// The index of the cell at fault, from 0. None if the whole record is at fault.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_fault: Option<usize>,
}

impl FirstRows {
    /// Reads `sample`, the front of a file with this layout; `eof` says that it is the whole file. A record
    /// that the sample does not contain whole is left out.
    #[must_use]
    pub fn read(layout: &Layout, sample: &[u8], eof: bool, max_record_bytes: usize) -> Self {
        let names = layout.header.iter().take(MOST_COLUMNS);
        let mut first = Self {
            header_line: front(without_half_line_end(sample, eof)).0.line,
            header: names.map(|name| excerpt(name.as_bytes(), 0)).collect(),
            columns: layout.header.len(),
            rows: Vec::new(),
            is_failed_csv: layout.is_failed_csv,
        };
        let mut rows = Rows { text: first.header.iter().map(String::len).sum(), all: Vec::new() };
        let mut records = Records::new(layout, layout.start, Past::default(), max_record_bytes);
        let start = usize::try_from(layout.start.byte).unwrap_or(usize::MAX);
        let mut rest = records.decided(sample.get(start..).unwrap_or_default(), eof);
        while !rows.is_full()
            && !records.is_skipping
            && let Some(taken) = records.take(rest, eof, &mut rows)
        {
            rest = &rest[taken..];
        }
        rows.all.truncate(MOST_ROWS);
        if rows.text > MOST_TEXT && rows.all.len() > 1 {
            rows.all.pop();
        }
        first.rows = rows.all;
        first
    }
}

/// The rows that were found.
struct Rows {
    /// The bytes of their text and of the header's.
    text: usize,
    all: Vec<FirstRow>,
}

impl Rows {
    fn is_full(&self) -> bool {
        self.all.len() >= MOST_ROWS || self.text > MOST_TEXT && !self.all.is_empty()
    }
}

impl RecordSink for Rows {
    fn record(&mut self, record: &JudgedRecord<'_>) {
        let JudgedRecord { line, content, ref fields, failure } = *record;
        let fault = failure
            .zip(fields.as_ref())
            .and_then(|(failure, fields)| Some((failure, failure.field(fields)?.0)));
        let place = |column: usize, field: &[u8]| match fault {
            Some((failure, at_fault)) if column == at_fault => failure.place(field),
            _ => 0,
        };
        let cells = match fields {
            Some(fields) => cells(fields, place),
            None => vec![excerpt(content, 0)],
        };
        self.text += cells.iter().map(String::len).sum::<usize>();
        self.all.push(FirstRow {
            line,
            cells,
            failure: failure.map(|failure| failure.to_string()),
            at_fault: fault.map(|(_, column)| column).filter(|column| *column < MOST_COLUMNS),
        });
    }

    fn raw(&mut self, _: &[u8]) {}

    fn note(&mut self, _: Note, _: u64) {}
}

/// The first fields that have a column, each from the position that `place` returns.
fn cells(fields: &Fields<'_>, place: impl Fn(usize, &[u8]) -> usize) -> Vec<String> {
    let fields = fields.in_columns().take(MOST_COLUMNS).enumerate();
    fields.map(|(column, field)| excerpt(field, place(column, field))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(file: &[u8], eof: bool) -> FirstRows {
        let layout = Layout::read(file, eof, 1 << 20).unwrap();
        FirstRows::read(&layout, file, eof, 60)
    }

    fn row(line: u64, cells: &[&str]) -> FirstRow {
        let cells = cells.iter().map(|cell| (*cell).to_owned()).collect();
        FirstRow { line, cells, failure: None, at_fault: None }
    }

    fn failed(line: u64, cells: &[&str], failure: &str, at_fault: Option<usize>) -> FirstRow {
        FirstRow { failure: Some(failure.to_owned()), at_fault, ..row(line, cells) }
    }

    #[test]
    fn rows_are_split_unquoted_and_judged_with_their_physical_lines() {
        let first = read(
            b"\r\n\nid,\"na\tme\"\n1,\"a\r\n\"\"b\"\"\"\n\n2\n3,M\xfcller,x\n4,\xff\n5,\"\0\"\n6,plain\n",
            true,
        );
        assert_eq!((first.header_line, first.columns), (3, 2));
        assert_eq!(first.header, ["id", "na␉me"]);
        let expected = [
            row(4, &["1", "a␍␊\"b\""]),
            failed(7, &["2"], "1 field, expected 2", None),
            failed(8, &["3", "M\u{fffd}ller"], "not valid UTF-8", Some(1)),
            failed(9, &["4", "\u{fffd}"], "not valid UTF-8", Some(1)),
            failed(10, &["5", "␀"], "contains a NUL byte", Some(1)),
            row(11, &["6", "plain"]),
        ];
        assert_eq!(first.rows, expected);
    }

    #[test]
    fn what_the_sample_ends_in_the_middle_of_is_left_out() {
        let file = b"id,name\n1,Ann\n2,\"Bo";
        assert_eq!(read(file, false).rows, [row(2, &["1", "Ann"])]);
        let open = failed(3, &["2", "Bo"], "closing quote missing", Some(1));
        assert_eq!(read(file, true).rows, [row(2, &["1", "Ann"]), open]);
        assert_eq!(read(b"id,name\n1,Ann\r", false).rows, []);
        assert_eq!(read(b"", true), FirstRows { header_line: 1, ..FirstRows::default() });
    }

    #[test]
    fn a_record_that_is_too_long_ends_the_list() {
        let long = "x".repeat(100);
        let first = read(format!("id,name\n1,Ann\n{long}\n2,Bo\n").as_bytes(), true);
        let front = format!("{}…", "x".repeat(80));
        assert_eq!(first.rows[1], failed(3, &[&front], "longer than 60 bytes", None));
        assert_eq!(first.rows.len(), 2);
    }

    #[test]
    fn a_failed_csv_of_ours_is_shown_without_our_columns() {
        let first = read(b"_line,_column,_reason,id,name,_extra\n5,,x,1,'=Ann,\n6,,x,2,,\"a,b\"\n", true);
        assert_eq!((first.header, first.columns), (vec!["id".to_owned(), "name".to_owned()], 2));
        let surplus = failed(3, &["2", ""], "x", None);
        assert_eq!(first.rows, [row(2, &["1", "=Ann"]), surplus]);
        assert!(first.is_failed_csv && !read(b"id,name\n1,Ann\n", true).is_failed_csv);
    }

    #[test]
    fn it_stays_small_whatever_the_file_holds() {
        let wide: Vec<String> = (0..300).map(|column| format!("{column}{}", "ü".repeat(200))).collect();
        let wide = wide.join(",");
        let file = format!("{wide}\n").repeat(100);
        let layout = Layout::read(file.as_bytes(), true, 1 << 20).unwrap();
        let first = FirstRows::read(&layout, file.as_bytes(), true, 1 << 20);
        assert_eq!((first.header.len(), first.columns, first.rows[0].cells.len()), (20, 300, 20));
        let many = format!("id,name\n1,Ann\n{}", "2,Bo\n".repeat(100));
        assert_eq!(read(many.as_bytes(), true).rows.len(), MOST_ROWS);
        let text = serde_json::to_string(&first).unwrap();
        assert!(text.len() < 2 * MOST_TEXT, "{}", text.len());
    }
}
