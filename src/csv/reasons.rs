//! Counts failed records by column and reason.

use serde::{Deserialize, Serialize};

use super::{
    excerpt::excerpt,
    verdict::{in_current_words, open_quote_is_text},
};

/// The most groups that are kept. Files usually have a handful. A file in which every record has another
/// number of fields must not fill the memory or the page.
const MOST_GROUPS: usize = 100;

/// The failed records of a part of a file. `groups` and `other` add up to their count.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reasons {
    /// In the order of each group's first record in the file; at most 100.
    pub groups: Vec<Reason>,
    /// The records that failed for reasons beyond the first hundred.
    pub other: u64,
}

/// The records that failed in one column for one reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason {
    /// The column's name as an excerpt; None if the whole record is at fault. Columns with equal names are
    /// counted together.
    pub column: Option<String>,
    /// In the words of `failed.csv`.
    #[serde(deserialize_with = "in_current_words")]
    pub reason: String,
    pub count: u64,
    /// The physical line on which the first of them begins.
    pub line: u64,
    /// An excerpt of the first one: of the field at fault, or of the record. At most 80 characters of the
    /// file, all visible.
    pub example: String,
}

impl Reasons {
    /// Counts a failed record. `example` is called only for the first record of a group.
    pub(super) fn count(
        &mut self,
        column: Option<&str>,
        reason: &str,
        line: u64,
        example: impl FnOnce() -> String,
    ) {
        let column = column.map(|name| excerpt(name.as_bytes(), 0));
        if let Some(group) = self.group(column.as_deref(), reason) {
            group.count += 1;
        } else if self.groups.len() < MOST_GROUPS {
            let (reason, example) = (reason.to_owned(), example());
            self.groups.push(Reason { column, reason, count: 1, line, example });
        } else {
            self.other += 1;
        }
    }

    /// Appends the reasons of the part of the file that follows. Unless either has more groups than are kept,
    /// the result is the same as if both had been counted in one pass.
    pub fn append(&mut self, following: Self) {
        for reason in following.groups {
            if let Some(group) = self.group(reason.column.as_deref(), &reason.reason) {
                group.count += reason.count;
            } else if self.groups.len() < MOST_GROUPS {
                self.groups.push(reason);
            } else {
                self.other += reason.count;
            }
        }
        self.other += following.other;
    }

    /// Whether some of the records may leave a quote open.
    #[must_use]
    pub fn may_leave_quotes_open(&self) -> bool {
        self.other > 0 || self.groups.iter().any(|group| open_quote_is_text(&group.reason).is_some())
    }

    /// The number of failed records.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.groups.iter().map(|group| group.count).sum::<u64>() + self.other
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.total() == 0
    }

    fn group(&mut self, column: Option<&str>, reason: &str) -> Option<&mut Reason> {
        self.groups.iter_mut().find(|group| group.column.as_deref() == column && group.reason == reason)
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*, sample::select};

    use super::*;
    use crate::csv::{Layout, Output, Pass};

    /// A record limit that only the longest piece below exceeds.
    const LIMIT: usize = 60;

    /// Reads a file after its header in steps of `step_bytes`, and merges their results.
    fn read(file: &[u8], step_bytes: u64) -> (Reasons, u64) {
        let layout = Layout::read(file, true, LIMIT).unwrap();
        let (mut cursor, mut merged, mut failed) = (layout.start, Reasons::default(), 0);
        while cursor.byte < file.len() as u64 {
            let mut out = Output::default();
            let mut pass = Pass::new(&layout, cursor, LIMIT);
            let stop = cursor.byte.saturating_add(step_bytes);
            pass.read(&file[cursor.byte as usize..], true, stop, &mut out);
            assert_eq!(out.reasons.total(), out.counts.failed);
            failed += out.counts.failed;
            merged.append(out.reasons);
            cursor = pass.cursor();
        }
        (merged, failed)
    }

    fn reason(column: Option<&str>, reason: &str, count: u64, line: u64, example: &str) -> Reason {
        let (column, reason) = (column.map(str::to_owned), reason.to_owned());
        Reason { column, reason, count, line, example: example.to_owned() }
    }

    #[test]
    fn failures_are_grouped_by_column_and_reason_with_the_first_of_each() {
        let long = "x".repeat(LIMIT + 1);
        let file = [
            b"id,name,note\n1,a,\n2,b\n3,M\xfcller,\n4,c\n5,a\0b,\n6,d,e,f\n7,\xff,\n8,a\0,\n".as_slice(),
            long.as_bytes(),
            b"\n9,a,\"never closed\nat all",
        ]
        .concat();
        let (reasons, failed) = read(&file, u64::MAX);
        let expected = [
            reason(None, "2 fields, expected 3", 2, 3, "2,b"),
            reason(Some("name"), "not valid UTF-8", 2, 4, "M\u{fffd}ller"),
            reason(Some("name"), "contains a NUL byte", 2, 6, "a␀b"),
            reason(None, "4 fields, expected 3", 1, 7, "6,d,e,f"),
            reason(None, "longer than 60 bytes", 1, 10, &long),
            reason(Some("note"), "closing quote missing", 1, 11, "never closed␊at all"),
        ];
        assert_eq!(reasons, Reasons { groups: expected.into(), other: 0 });
        assert_eq!(failed, 9);
    }

    #[test]
    fn columns_of_one_name_are_one_group() {
        let (reasons, _) = read(b"amount,amount\n1,a\0\n\0,2\n", u64::MAX);
        assert_eq!(reasons.groups, [reason(Some("amount"), "contains a NUL byte", 2, 2, "a␀")]);
    }

    #[test]
    fn a_column_and_the_whole_record_are_two_groups() {
        // The record with the NUL is blamed as a whole.
        let (reasons, _) = read(b"a\n\0\nx,\0\n", u64::MAX);
        let expected = [
            reason(Some("a"), "contains a NUL byte", 1, 2, "␀"),
            reason(None, "contains a NUL byte", 1, 3, "x,␀"),
        ];
        assert_eq!(reasons.groups, expected);
    }

    #[test]
    fn reasons_that_an_earlier_version_stored_join_those_of_this_one() {
        let stored = r#"{"groups":[
            {"column":null,"reason":"1 field where the header has 3","count":2,"line":5,"example":"x"},
            {"column":"note","reason":"the file ends inside quotes","count":1,"line":9,"example":""}
        ],"other":0}"#;
        let mut reasons: Reasons = serde_json::from_str(stored).unwrap();
        let file = b"id,name,note\ny\n1,a,\"never closed";
        reasons.append(read(file, u64::MAX).0);
        let expected = [
            reason(None, "1 field, expected 3", 3, 5, "x"),
            reason(Some("note"), "closing quote missing", 2, 9, ""),
        ];
        assert_eq!(reasons.groups, expected);
    }

    #[test]
    fn the_counts_add_up_when_there_are_more_groups_than_are_kept() {
        let many = |from: usize, to: usize| Reasons {
            groups: (from..to).map(|n| reason(None, &n.to_string(), 2, 1, "")).collect(),
            other: 1,
        };
        let mut merged = many(0, 80);
        merged.append(many(70, 130));
        assert_eq!((merged.groups.len(), merged.other), (MOST_GROUPS, 2 + 2 * 30));
        assert_eq!(merged.total(), 2 * 80 + 1 + 2 * 60 + 1);
        assert_eq!(merged.groups[70].count, 4);
    }

    #[test]
    fn one_pass_keeps_a_hundred_groups_apart() {
        let mut reasons = Reasons::default();
        for n in 0..250 {
            for _ in 0..2 {
                reasons.count(None, &n.to_string(), n, || format!("{n}"));
            }
        }
        assert_eq!((reasons.groups.len(), reasons.other, reasons.total()), (100, 300, 500));
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn groups_add_up_to_the_failed_records_however_a_file_is_cut_into_steps(
            pieces in vec(select(PIECES), 0..60),
            step_bytes in 1_u64..80,
        ) {
            let file = [b"a,b,a\n".as_slice(), &pieces.concat()].concat();
            let (whole, failed) = read(&file, u64::MAX);
            prop_assert_eq!(whole.total(), failed);
            let (in_steps, failed_in_steps) = read(&file, step_bytes);
            prop_assert_eq!(failed_in_steps, failed);
            prop_assert_eq!(in_steps, whole);
        }
    }

    const PIECES: &[&[u8]] = &[
        b",",
        b",",
        b"\"",
        b"\r",
        b"\n",
        b"\n",
        b"\0",
        b"\xff",
        b"\xe2\x80\xae",
        b"x",
        b"1,2,3\n",
        b"1,2\r\n",
        b"a long piece that no record may have twice,",
    ];
}
