//! The files that a step writes.

use std::io;

use crate::{
    base::ids::RunId,
    csv::Output,
    files::{OutputFile, Storage},
    store::steps::StepFiles,
};

/// The outputs of a step. Each file is created with its first byte, because most steps have no failed record.
pub(super) struct Parts<'s> {
    storage: &'s Storage,
    run: &'s RunId,
    processed: Option<OutputFile>,
    failed: Option<OutputFile>,
    raw: Option<OutputFile>,
}

impl<'s> Parts<'s> {
    pub(super) fn new(storage: &'s Storage, run: &'s RunId) -> Self {
        Self { storage, run, processed: None, failed: None, raw: None }
    }

    /// Writes the bytes in `out` and clears them. Fails if the disk would not keep the reserve that the
    /// database needs.
    pub(super) fn write(&mut self, out: &mut Output) -> io::Result<()> {
        self.storage.ensure_room()?;
        let parts = [
            (&mut self.processed, &mut out.processed),
            (&mut self.failed, &mut out.failed),
            (&mut self.raw, &mut out.raw),
        ];
        for (part, bytes) in parts {
            if bytes.is_empty() {
                continue;
            }
            let part = match part {
                Some(part) => part,
                None => part.insert(self.storage.create_output(self.run)?),
            };
            part.write(bytes)?;
            bytes.clear();
        }
        Ok(())
    }

    /// Everything written so far belongs to finished records.
    pub(super) fn finish_here(&mut self) {
        for part in [&mut self.processed, &mut self.failed, &mut self.raw].into_iter().flatten() {
            part.finish_here();
        }
    }

    /// Keeps the bytes of finished records; removes the file if there are none.
    pub(super) fn finish(mut self) -> io::Result<StepFiles> {
        for part in [&mut self.processed, &mut self.failed, &mut self.raw] {
            drop(part.take_if(|part| part.finished() == 0));
            if let Some(part) = part {
                part.finish()?;
            }
        }
        let parts = [&self.processed, &self.failed, &self.raw];
        let bytes = parts.into_iter().flatten().map(OutputFile::finished).sum();
        let keep = |part: OutputFile| part.keep().as_str().to_owned();
        Ok(StepFiles {
            source: None,
            processed: self.processed.map(keep),
            failed: self.failed.map(keep),
            raw: self.raw.map(keep),
            bytes,
        })
    }
}
