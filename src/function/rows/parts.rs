//! The files that a step writes.

use std::io;

use crate::{
    base::ids::RunId,
    csv::{Counts, Output},
    files::{OutputFile, Storage},
    results::Plan,
    store::steps::StepFiles,
};

/// The outputs of a step. Each file is created with its first byte, because most steps have no failed record.
pub(super) struct Parts<'s> {
    storage: &'s Storage,
    run: &'s RunId,
    headers: PartHeaders,
    processed: Option<OutputFile>,
    failed: Option<OutputFile>,
    raw: Option<OutputFile>,
}

/// What the files of a step begin with.
#[derive(Default)]
pub(super) struct PartHeaders {
    processed: Vec<u8>,
    failed: Vec<u8>,
}

impl PartHeaders {
    /// The headers that no file of the steps before has, which wrote the records `before`.
    pub(super) fn due(plan: &Plan, before: Counts) -> Self {
        let mut headers = Self::default();
        if plan.has_headers_in_parts && before.processed == 0 {
            headers.processed = plan.layout.processed_header();
        }
        if plan.has_headers_in_parts && before.failed == 0 {
            headers.failed = plan.layout.failed_header();
        }
        headers
    }
}

impl<'s> Parts<'s> {
    pub(super) fn new(storage: &'s Storage, run: &'s RunId, headers: PartHeaders) -> Self {
        Self { storage, run, headers, processed: None, failed: None, raw: None }
    }

    /// How many bytes writing `out` stores.
    pub(super) fn bytes_of(&self, out: &Output) -> u64 {
        let header = |part: &Option<OutputFile>, header: &[u8], bytes: &[u8]| {
            if part.is_none() && !bytes.is_empty() { header.len() as u64 } else { 0 }
        };
        out.bytes()
            + header(&self.processed, &self.headers.processed, &out.processed)
            + header(&self.failed, &self.headers.failed, &out.failed)
    }

    /// Writes the bytes in `out` and clears them. Fails if the disk would not keep the reserve that the
    /// database needs.
    pub(super) fn write(&mut self, out: &mut Output) -> io::Result<()> {
        self.storage.ensure_room(0)?;
        let parts = [
            (&mut self.processed, &self.headers.processed[..], &mut out.processed),
            (&mut self.failed, &self.headers.failed[..], &mut out.failed),
            (&mut self.raw, &[], &mut out.raw),
        ];
        for (part, header, bytes) in parts {
            if bytes.is_empty() {
                continue;
            }
            let part = match part {
                Some(part) => part,
                None => {
                    let part = part.insert(self.storage.create_output(self.run)?);
                    if !header.is_empty() {
                        part.write(header)?;
                    }
                    part
                }
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
