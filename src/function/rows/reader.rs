//! Reads records, and measures where in the file they are and how long they took.

use std::time::Instant;

use crate::csv::{Counts, Output, Pass, Stretches};

pub(super) struct Reader<'l> {
    pub(super) pass: Pass<'l>,
    pub(super) stretches: Stretches,
    /// The last record boundary, and the records before it.
    boundary: (u64, Counts),
    /// When the time was last taken, and the boundary at that time.
    clock: (Instant, u64),
}

impl<'l> Reader<'l> {
    pub(super) fn new(pass: Pass<'l>, file_bytes: u64) -> Self {
        let start = pass.cursor().byte;
        Self {
            pass,
            stretches: Stretches::new(file_bytes),
            boundary: (start, Counts::default()),
            clock: (Instant::now(), start),
        }
    }

    /// As [`Pass::read_in_pieces`], one stretch at a time.
    pub(super) fn read(
        &mut self,
        input: &[u8],
        eof: bool,
        stop: u64,
        out: &mut Output,
        take: &mut dyn FnMut(&mut Output),
    ) -> usize {
        let mut consumed = 0;
        loop {
            let (from, counts) = self.boundary;
            let until = self.stretches.end_of(from).min(stop);
            let taken = self.pass.read_in_pieces(&input[consumed..], eof, until, out, take);
            consumed += taken;
            let byte = self.pass.cursor().byte;
            if self.pass.at_boundary() {
                // All of them begin in the stretch of `from`, even if the last one ends far behind it.
                let processed = out.counts.processed - counts.processed;
                let failed = out.counts.failed - counts.failed;
                self.stretches.count(from, Counts { processed, failed });
                self.boundary = (byte, out.counts);
            }
            let is_stretch_over = self.pass.at_boundary() && byte >= until;
            if !is_stretch_over || byte >= stop || taken == 0 || out.is_full() {
                return consumed;
            }
        }
    }

    /// Goes on behind records that were read elsewhere, after which there are `counts` records.
    pub(super) fn skip_to(&mut self, pass: Pass<'l>, counts: Counts, stretches: &Stretches) {
        self.boundary = (pass.cursor().byte, counts);
        self.pass = pass;
        self.stretches.add(stretches);
    }

    /// Adds the time since the last call to the stretches that were read in between.
    pub(super) fn look_at_clock(&mut self) {
        let ((since, from), (to, _)) = (self.clock, self.boundary);
        if to > from {
            let now = Instant::now();
            let micros = now.duration_since(since).as_micros();
            self.stretches.spend(from, to, u64::try_from(micros).unwrap_or(u64::MAX));
            self.clock = (now, to);
        }
    }
}
