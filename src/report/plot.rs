//! The plot on the bar: how fast each part of the file was read, and where rows failed.

use super::{
    badge::Tone,
    bar::Bar,
    format::{grouped, rounded},
    progress::{Progress, SHORTEST_READING},
};
use crate::{
    csv::{Stretch, Stretches},
    imports::RunSnapshot,
};

/// The significant digits of a speed and of a row's position.
const DIGITS: u32 = 3;

/// The most rows of the table.
const MOST_TABLE_ROWS: usize = 20;

/// A stretch that is read only in part is no measurement before this time, in microseconds: the rows of blocks
/// that idle cores have read ahead count all at once, and one such block would tower over the whole plot.
const SHORTEST_PART: u64 = 100_000;

/// The drawing around a run's bar, and the same as a table. Everything is empty while nothing is read.
/// Positions are shares of the file, from 0 to 1.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plot {
    /// The bar's tone; None for an import without runs.
    pub tone: Option<Tone>,
    pub speeds: Vec<Speed>,
    /// The positions of failed rows.
    pub failed: Vec<FailedPlace>,
    pub ahead: Option<Ahead>,
    pub axis: Option<Axis>,
    pub table: Vec<TableRow>,
    /// Why there is no speed, if there will be none.
    pub note: Option<&'static str>,
    /// Nothing is drawn above the bar, and no space is reserved there.
    pub is_low: bool,
}

/// The reading speed of a part of the file.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Speed {
    pub from: f64,
    pub to: f64,
    pub rows_per_second: f64,
}

/// A stretch of the file with failed rows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FailedPlace {
    /// The middle of the stretch.
    pub at: f64,
    pub rows: u64,
}

/// The speed that the remaining time is calculated from, drawn over the unread part.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ahead {
    pub from: f64,
    pub rows_per_second: u64,
}

/// The row numbers along the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Axis {
    /// The rows at a quarter, half and three quarters of the file.
    pub quarters: [String; 3],
    /// `1,000,000`, `about 1,000,000`.
    pub end: String,
}

/// Several consecutive rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableRow {
    pub from: String,
    pub to: String,
    /// None if reading took too little time to be measured.
    pub rows_per_second: Option<String>,
    pub failed: String,
}

/// Several consecutive stretches, from and to a byte.
#[derive(Clone, Copy, Debug)]
struct Column {
    from: u64,
    to: u64,
    /// Its last stretch is read to the end.
    is_whole: bool,
    read: Stretch,
}

impl Column {
    /// Rows per second.
    fn speed(&self) -> f64 {
        self.read.rows as f64 * 1e6 / self.read.micros.max(1) as f64
    }

    fn and(self, next: Self) -> Self {
        Self { from: self.from, to: next.to, is_whole: next.is_whole, read: self.read.and(next.read) }
    }

    /// Whether reading took long enough for a measurement.
    fn is_measured(&self) -> bool {
        self.read.micros >= if self.is_whole { SHORTEST_READING } else { SHORTEST_PART }
    }
}

impl Plot {
    /// The plot of a run whose bar is `bar`.
    #[must_use]
    pub fn of(run: &RunSnapshot, progress: &Progress, bar: &Bar) -> Self {
        let tone = Some(bar.tone);
        let Some(stretches) = run.stretches().filter(|stretches| stretches.all().len() > 1) else {
            return Self { tone, note: note(run), ..Self::default() };
        };
        let read = read_stretches(stretches, run.bytes());
        let columns = columns(&read, run.row.ended_at.is_some());
        let place = |byte: u64| (byte as f64 / (stretches.file_bytes() as f64).max(1.0)).min(1.0);
        // The remaining time is calculated only while a step is active.
        let speed = progress.rows_per_second.filter(|_| progress.left.is_some() && !columns.is_empty());
        Self {
            tone,
            speeds: columns
                .iter()
                .map(|column| Speed {
                    from: place(column.from),
                    to: place(column.to),
                    rows_per_second: column.speed(),
                })
                .collect(),
            failed: failed(stretches, place),
            ahead: speed.map(|rows_per_second| Ahead { from: place(run.bytes()), rows_per_second }),
            axis: Axis::of(stretches, run.bytes(), progress),
            table: table(&read),
            note: note(run).filter(|_| columns.is_empty()),
            is_low: false,
        }
    }

    /// The same without the space of speeds that are not there; None if nothing else is drawn.
    #[must_use]
    pub fn without_empty_space(self) -> Option<Self> {
        let is_low = self.speeds.is_empty();
        (!is_low || self.axis.is_some()).then_some(Self { is_low, ..self })
    }
}

/// The text in place of speeds for a run that has ended.
fn note(run: &RunSnapshot) -> Option<&'static str> {
    let has_rows = run.counts().is_some_and(|counts| counts.total() > 0);
    run.row.ended_at?;
    Some(match run.stretches() {
        _ if !has_rows => "No rows were read",
        None => "The reading speed was not kept",
        Some(_) => "Too fast to chart",
    })
}

/// The stretches that are read at least partly, each up to where it is read.
fn read_stretches(stretches: &Stretches, bytes: u64) -> Vec<Column> {
    let mut from = 0;
    let columns = stretches.all().iter().map(|read| {
        let end = stretches.end_of(from);
        let to = end.min(bytes.max(from));
        let column = Column { from, to, is_whole: to == end, read: *read };
        from = end;
        column
    });
    let mut read: Vec<Column> = columns.collect();
    let count = read.iter().rposition(|column| column.read != Stretch::default()).map_or(0, |last| last + 1);
    read.truncate(count);
    read
}

/// Merges stretches until each column took long enough for a measurement. A short rest at the end waits for
/// more; if the run has ended, it is merged with the column before.
fn columns(read: &[Column], has_ended: bool) -> Vec<Column> {
    let mut columns: Vec<Column> = Vec::new();
    let mut open: Option<Column> = None;
    for next in read {
        let column = open.map_or(*next, |open| open.and(*next));
        open = (!column.is_measured()).then_some(column);
        if open.is_none() {
            columns.push(column);
        }
    }
    if has_ended && let (Some(rest), Some(last)) = (open, columns.last_mut()) {
        *last = last.and(rest);
    }
    columns
}

fn failed(stretches: &Stretches, place: impl Fn(u64) -> f64) -> Vec<FailedPlace> {
    let (mut failed, mut from) = (Vec::new(), 0);
    for stretch in stretches.all() {
        let to = stretches.end_of(from);
        if stretch.failed > 0 {
            failed.push(FailedPlace { at: place(from.midpoint(to)), rows: stretch.failed });
        }
        from = to;
    }
    failed
}

impl Axis {
    fn of(stretches: &Stretches, bytes: u64, progress: &Progress) -> Option<Self> {
        let (total, rows, share) = (progress.total?, progress.rows()?, progress.share?);
        let file_bytes = stretches.file_bytes();
        let row_at = |quarter: u64| {
            let byte = u64::try_from(u128::from(file_bytes) * u128::from(quarter) / 4).unwrap_or(file_bytes);
            let row = if byte <= bytes {
                rows_before(stretches, byte, bytes)
            } else {
                let place = quarter as f64 / 4.0;
                let ahead = total.rows.saturating_sub(rows) as f64;
                rows as f64 + ahead * (place - share) / (1.0 - share).max(f64::EPSILON)
            };
            grouped(rounded((row as u64).min(total.rows), DIGITS))
        };
        let end = grouped(total.rows);
        Some(Self {
            quarters: [row_at(1), row_at(2), row_at(3)],
            end: if total.exact { end } else { format!("about {end}") },
        })
    }
}

/// How many rows begin before `byte`. In the stretch of `byte` they are estimated from its part that is read.
fn rows_before(stretches: &Stretches, byte: u64, bytes: u64) -> f64 {
    let (mut rows, mut from) = (0, 0);
    for stretch in stretches.all() {
        let to = stretches.end_of(from);
        if byte < to {
            let read = to.min(bytes).saturating_sub(from).max(1);
            return rows as f64 + stretch.rows as f64 * (byte - from) as f64 / read as f64;
        }
        rows += stretch.rows;
        from = to;
    }
    rows as f64
}

/// Everything that is read, in parts of about equal length, few enough for a person to listen to.
fn table(read: &[Column]) -> Vec<TableRow> {
    let mut from = 1;
    let parts = read.chunks(read.len().div_ceil(MOST_TABLE_ROWS).max(1));
    let parts = parts.filter_map(|part| part.iter().copied().reduce(Column::and));
    parts
        .filter(|part| part.read.rows > 0)
        .map(|part| {
            let first = from;
            from += part.read.rows;
            let is_measured = part.read.micros >= SHORTEST_READING;
            TableRow {
                from: grouped(first),
                to: grouped(from - 1),
                rows_per_second: is_measured.then(|| grouped(rounded(part.speed() as u64, DIGITS))),
                failed: grouped(part.read.failed),
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(index: u64, rows: u64, micros: u64) -> Column {
        Column {
            from: index * 10,
            to: index * 10 + 10,
            is_whole: true,
            read: Stretch { rows, failed: 1, micros },
        }
    }

    /// From, to, rows.
    fn merged(micros: &[u64], has_ended: bool) -> Vec<(u64, u64, u64)> {
        let read: Vec<Column> =
            (0..).zip(micros).map(|(index, micros)| column(index, 100, *micros)).collect();
        let columns = columns(&read, has_ended);
        columns.iter().map(|column| (column.from, column.to, column.read.rows)).collect()
    }

    #[test]
    fn no_column_is_a_measurement_of_less_than_five_milliseconds() {
        assert_eq!(merged(&[5_000, 9_000], false), [(0, 10, 100), (10, 20, 100)]);
        assert_eq!(merged(&[2_000, 2_000, 2_000, 7_000], false), [(0, 30, 300), (30, 40, 100)]);
        // The rest waits for more, and is not lost at the end.
        assert_eq!(merged(&[5_000, 2_000], false), [(0, 10, 100)]);
        assert_eq!(merged(&[5_000, 2_000], true), [(0, 20, 200)]);
        assert_eq!(merged(&[100, 100], true), [], "a file read in no time has no speed");
        assert_eq!(merged(&[], true), []);
    }

    #[test]
    fn a_stretch_that_is_read_only_in_part_waits_for_more() {
        let speeds = |micros: u64, has_ended: bool| {
            let part = Column { is_whole: false, ..column(1, 4_000, micros) };
            columns(&[column(0, 30_000, 460_000), part], has_ended).len()
        };
        assert_eq!(speeds(8_000, false), 1, "500,000 rows/s for an instant");
        assert_eq!(speeds(100_000, false), 2);
        assert_eq!(speeds(8_000, true), 1, "merged with the column before");
    }

    #[test]
    fn the_table_has_few_rows_and_all_that_was_read() {
        let read: Vec<Column> = (0..100).map(|index| column(index, 1_000 + index, 2_000)).collect();
        let table = table(&read);
        assert_eq!(table.len(), 20);
        assert_eq!(
            (table[0].from.as_str(), table[0].to.as_str(), table[0].failed.as_str()),
            ("1", "5,010", "5")
        );
        assert_eq!(table[0].rows_per_second.as_deref(), Some("501,000"));
        let total: u64 = read.iter().map(|column| column.read.rows).sum();
        assert_eq!(table[19].to, grouped(total));
        assert!(super::table(&[column(0, 3, 10)])[0].rows_per_second.is_none(), "not measured");
        assert_eq!(super::table(&[]), []);
    }
}
