//! Records how the reading of a file progressed, by position: the data of the plot on the bar.

use serde::{Deserialize, Serialize};

use crate::csv::Counts;

/// The number of equal stretches that a file is divided into.
pub const STRETCHES: u64 = 100;

/// A smaller file is one stretch: it is read too quickly for its positions to matter.
pub const SMALLEST_DIVIDED: u64 = 128 << 10;

/// A file in stretches of equal length, with the rows that were read in each. A row belongs to the stretch in
/// which it begins, so that every row is counted exactly once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "Recorded", try_from = "Recorded")]
pub struct Stretches {
    file_bytes: u64,
    all: Vec<Stretch>,
}

/// The rows that were read in one stretch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stretch {
    /// Processed and failed rows.
    pub rows: u64,
    pub failed: u64,
    /// The time for reading and writing, in microseconds.
    pub micros: u64,
}

impl Stretch {
    /// The sum of both.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            rows: self.rows.saturating_add(other.rows),
            failed: self.failed.saturating_add(other.failed),
            micros: self.micros.saturating_add(other.micros),
        }
    }
}

impl Stretches {
    /// The stretches of a file that has not been read yet.
    #[must_use]
    pub fn new(file_bytes: u64) -> Self {
        let count = Self::count_in(file_bytes);
        Self { file_bytes, all: vec![Stretch::default(); usize::try_from(count).unwrap_or(1)] }
    }

    /// The sum of several steps that each read another part of the file. None if no step has stretches, or if
    /// a step with rows has none, because the sum would be wrong without it.
    #[must_use]
    pub fn sum(steps: impl IntoIterator<Item = (Counts, Option<Self>)>) -> Option<Self> {
        let mut sum: Option<Self> = None;
        for (rows, stretches) in steps {
            match (stretches, &mut sum) {
                (Some(stretches), Some(sum)) => sum.add(&stretches),
                (Some(stretches), None) => sum = Some(stretches),
                (None, _) if rows != Counts::default() => return None,
                (None, _) => {}
            }
        }
        sum
    }

    /// The number of stretches of a file of `file_bytes` bytes.
    #[must_use]
    pub fn count_in(file_bytes: u64) -> u64 {
        if file_bytes < SMALLEST_DIVIDED { 1 } else { STRETCHES }
    }

    #[must_use]
    pub fn file_bytes(&self) -> u64 {
        self.file_bytes
    }

    /// All stretches, from the front of the file.
    #[must_use]
    pub fn all(&self) -> &[Stretch] {
        &self.all
    }

    /// The sum of all stretches.
    #[must_use]
    pub fn total(&self) -> Stretch {
        self.all.iter().fold(Stretch::default(), |sum, stretch| sum.and(*stretch))
    }

    /// The first byte after the stretch that contains `byte`.
    #[must_use]
    pub fn end_of(&self, byte: u64) -> u64 {
        self.start(self.index(byte) + 1)
    }

    /// Counts rows that begin in the stretch that contains `byte`.
    pub fn count(&mut self, byte: u64, rows: Counts) {
        let index = self.index(byte);
        let stretch = &mut self.all[index];
        stretch.rows += rows.total();
        stretch.failed += rows.failed;
    }

    /// Distributes the time that was spent on the bytes from `from` to `to` over their stretches, in
    /// proportion to their bytes. The last stretch gets the rounding remainder.
    pub fn spend(&mut self, from: u64, to: u64, micros: u64) {
        let (first, last) = (self.index(from), self.index(to.saturating_sub(1).max(from)));
        let bytes = u128::from(to.saturating_sub(from)).max(1);
        let mut spent = 0;
        for index in first..=last {
            let end = if index == last { to } else { self.start(index + 1) };
            let until_end = u128::from(micros) * u128::from(end.saturating_sub(from)) / bytes;
            let until_end =
                if index == last { micros } else { u64::try_from(until_end).unwrap_or(micros).min(micros) };
            self.all[index].micros += until_end - spent;
            spent = until_end;
        }
    }

    /// Adds the results of a reading of another part of the same file.
    pub fn add(&mut self, other: &Self) {
        if self.file_bytes == other.file_bytes {
            for (stretch, more) in self.all.iter_mut().zip(&other.all) {
                *stretch = stretch.and(*more);
            }
        }
    }

    fn index(&self, byte: u64) -> usize {
        let count = self.all.len();
        let index = u128::from(byte) * count as u128 / u128::from(self.file_bytes.max(1));
        usize::try_from(index).unwrap_or(count).min(count - 1)
    }

    /// The first byte of the stretch at `index`; for the index after the last one, the file's size.
    fn start(&self, index: usize) -> u64 {
        let start = u128::from(self.file_bytes) * index as u128;
        u64::try_from(start.div_ceil(self.all.len() as u128)).unwrap_or(self.file_bytes)
    }
}

/// The stored form of a step's stretches: only those that the step reached.
#[derive(Serialize, Deserialize)]
struct Recorded {
    bytes: u64,
    first: usize,
    /// Rows, failed rows, microseconds.
    read: Vec<(u64, u64, u64)>,
}

impl From<Stretches> for Recorded {
    fn from(stretches: Stretches) -> Self {
        let is_read = |stretch: &Stretch| *stretch != Stretch::default();
        let first = stretches.all.iter().position(is_read).unwrap_or(0);
        let end = stretches.all.iter().rposition(is_read).map_or(first, |last| last + 1);
        let read = stretches.all[first..end].iter();
        Self {
            bytes: stretches.file_bytes,
            first,
            read: read.map(|stretch| (stretch.rows, stretch.failed, stretch.micros)).collect(),
        }
    }
}

impl TryFrom<Recorded> for Stretches {
    type Error = &'static str;

    fn try_from(recorded: Recorded) -> Result<Self, Self::Error> {
        let mut stretches = Self::new(recorded.bytes);
        let places = stretches.all.iter_mut().skip(recorded.first);
        if recorded.read.len() > places.len() {
            return Err("more stretches than the file has");
        }
        for (place, (rows, failed, micros)) in places.zip(recorded.read) {
            *place = Stretch { rows, failed, micros };
        }
        Ok(stretches)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn micros(stretches: &Stretches) -> Vec<u64> {
        stretches.all().iter().map(|stretch| stretch.micros).collect()
    }

    #[test]
    fn only_a_small_file_is_not_divided() {
        for (bytes, count) in [(0, 1), (1, 1), (131_071, 1), (131_072, 100), (u64::MAX, 100)] {
            assert_eq!(Stretches::new(bytes).all().len(), count, "{bytes}");
        }
    }

    #[test]
    fn a_block_is_split_over_the_stretches_that_it_spans() {
        let mut stretches = Stretches::new(400_000);
        // Each stretch has 4,000 bytes.
        stretches.spend(49_000, 58_000, 900);
        assert_eq!(micros(&stretches)[11..16], [0, 300, 400, 200, 0]);
        stretches.spend(57_000, 57_001, 7);
        stretches.spend(399_999, 400_000, 9);
        assert_eq!(micros(&stretches)[11..16], [0, 300, 400, 207, 0]);
        assert_eq!(micros(&stretches)[98..], [0, 9]);
    }

    #[test]
    fn a_row_is_counted_where_it_begins() {
        let mut stretches = Stretches::new(200_000);
        for (byte, failed) in [(0, 1), (1_999, 0), (2_000, 2), (199_999, 3)] {
            stretches.count(byte, Counts { processed: 10, failed });
        }
        let read: Vec<_> = stretches.all().iter().map(|stretch| (stretch.rows, stretch.failed)).collect();
        assert_eq!((&read[..3], read[99]), (&[(21, 1), (12, 2), (0, 0)][..], (13, 3)));
        assert_eq!((stretches.end_of(1_999), stretches.end_of(2_000)), (2_000, 4_000));
        assert_eq!(stretches.end_of(199_999), 200_000);
    }

    #[test]
    fn what_is_recorded_comes_back_and_nothing_else_is_taken_for_it() {
        let mut stretches = Stretches::new(10 << 20);
        stretches.count(5 << 20, Counts { processed: 7, failed: 2 });
        stretches.spend(5 << 20, 6 << 20, 12_345);
        let text = serde_json::to_string(&stretches).unwrap();
        assert!(text.len() < 1_000, "{text}");
        assert_eq!(serde_json::from_str::<Stretches>(&text).unwrap(), stretches);
        let nothing = Stretches::new(1);
        assert_eq!(serde_json::to_string(&nothing).unwrap(), r#"{"bytes":1,"first":0,"read":[]}"#);
        for wrong in
            [r#"{"bytes":1,"first":1,"read":[[1,0,1]]}"#, r#"{"bytes":1,"first":0,"read":[[1,0,1],[1,0,1]]}"#]
        {
            assert!(serde_json::from_str::<Stretches>(wrong).is_err(), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn nothing_is_lost_however_a_file_is_cut_into_blocks(
            bytes in 1_u64..20_000_000,
            cuts in proptest::collection::vec(0.0..1.0_f64, 0..40),
        ) {
            let mut cuts: Vec<u64> = cuts.into_iter().map(|cut| (cut * bytes as f64) as u64).collect();
            cuts.extend([0, bytes]);
            cuts.sort_unstable();
            let (mut stretches, mut spent) = (Stretches::new(bytes), 0);
            for block in cuts.windows(2).filter(|block| block[0] < block[1]) {
                let micros = block[1] - block[0];
                stretches.spend(block[0], block[1], micros);
                spent += micros;
                let end = stretches.end_of(block[0]);
                prop_assert!(block[0] < end && end <= bytes);
            }
            prop_assert_eq!(stretches.total().micros, spent);
            // At a constant speed, each stretch took time in proportion to its length.
            for (index, stretch) in stretches.all().iter().enumerate() {
                let length = stretches.start(index + 1) - stretches.start(index);
                prop_assert!(stretch.micros.abs_diff(length) <= 80, "{} {}", index, stretch.micros);
            }
        }
    }
}
