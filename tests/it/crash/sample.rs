//! Generated files to import, with their expected outputs.

use rand::{RngExt, rngs::StdRng};

use crate::support::cells;

const HEADER: &str = "id,name,note";
const FAILED_HEADER: &str = "_line,_column,_reason,id,name,note,_extra";

/// The front of a file is slow to read, so that the planned steps are as short as possible.
const SLOW_BYTES: usize = 1 << 20;

/// A file and its records.
pub struct Sample {
    pub bytes: Vec<u8>,
    /// The expected processed.csv.
    processed: Vec<u8>,
    records: Vec<Record>,
}

/// One record, and the positions of its end in the file and the output.
struct Record {
    id: usize,
    /// Physical, counted from 1.
    line: usize,
    fails: bool,
    /// The end of the record in the file, in bytes.
    end: usize,
    /// The end of the record in processed.csv, in bytes. For a failed record, the end of the record before
    /// it.
    processed_end: usize,
}

impl Sample {
    /// A file of at least `size` bytes.
    pub fn generate(size: usize, rng: &mut StdRng) -> Self {
        // Distinguishes the records of different files.
        let salt: u64 = rng.random();
        let filler = "x".repeat(120);
        let mut file = format!("{HEADER}\n");
        let mut processed = format!("{HEADER}\r\n");
        let mut records = Vec::new();
        let mut line = 2;
        while file.len() < size {
            let id = records.len() + 1;
            let is_slow = file.len() < SLOW_BYTES;
            let fails = rng.random_ratio(1, if is_slow { 20 } else { 2_000 });
            let start_line = line;
            let row = match (fails, is_slow) {
                (false, true) => format!("{id},,"),
                (false, false) if rng.random_ratio(1, 100) => {
                    line += 1;
                    format!("{id},\"two\nlines, one field\",{salt:x}{filler}")
                }
                (false, false) => format!("{id},name {id},{salt:x}{filler}"),
                (true, _) => match rng.random_range(0..3) {
                    0 => format!("{id}"),
                    1 => format!("{id},too,many,fields"),
                    _ => format!("{id},a\0b,{salt:x}"),
                },
            };
            line += 1;
            file.push_str(&row);
            file.push('\n');
            if !fails {
                processed.push_str(&row);
                processed.push_str("\r\n");
            }
            let (end, processed_end) = (file.len(), processed.len());
            records.push(Record { id, line: start_line, fails, end, processed_end });
        }
        Self { bytes: file.into_bytes(), processed: processed.into_bytes(), records }
    }

    /// The counts (processed, failed) of the whole file.
    pub fn counts(&self) -> (u64, u64) {
        let failed = self.records.iter().filter(|record| record.fails).count();
        ((self.records.len() - failed) as u64, failed as u64)
    }

    /// The length in bytes of the file's first records, given their counts `processed` and `failed`. Fails if
    /// no prefix has these counts.
    pub fn prefix(&self, (processed, failed): (u64, u64)) -> Result<usize, String> {
        let count = usize::try_from(processed + failed).unwrap();
        let first = self.records.get(..count).ok_or("more records than the file has")?;
        let fail = first.iter().filter(|record| record.fails).count() as u64;
        if fail != failed {
            return Err(format!("of the first {count} records {fail} fail, not {failed}"));
        }
        Ok(first.last().map_or(HEADER.len() + 1, |record| record.end))
    }

    /// Checks that the two files contain exactly the first `count` records, each once and in order.
    pub fn check(&self, count: u64, processed: &[u8], failed: &[u8]) -> Result<(), String> {
        let first = &self.records[..usize::try_from(count).unwrap()];
        let end = first.last().map_or(HEADER.len() + 2, |record| record.processed_end);
        if *processed != self.processed[..end] {
            let same = processed.iter().zip(&self.processed).take_while(|(one, other)| one == other).count();
            let len = processed.len();
            return Err(format!("processed.csv has {len} bytes, {end} were expected; {same} are right"));
        }
        let failed = String::from_utf8_lossy(failed);
        let mut lines = failed.split_terminator("\r\n");
        if lines.next() != Some(FAILED_HEADER) {
            return Err("failed.csv has another header".to_owned());
        }
        let found: Vec<(usize, usize)> = lines.map(line_and_id).collect::<Result<_, _>>()?;
        let expected = first.iter().filter(|record| record.fails).map(|record| (record.line, record.id));
        if !expected.clone().eq(found.iter().copied()) {
            let (found, expected) = (found.len(), expected.count());
            return Err(format!("failed.csv has {found} records, or others, than the {expected} that fail"));
        }
        Ok(())
    }
}

/// `_line` and `id` of a line of failed.csv.
fn line_and_id(line: &str) -> Result<(usize, usize), String> {
    let cells = cells(line);
    let number = |cell: usize| cells.get(cell).and_then(|text| text.parse().ok());
    let (line_number, id) = (number(0), number(3));
    line_number.zip(id).ok_or_else(|| format!("failed.csv has the line {line}"))
}
