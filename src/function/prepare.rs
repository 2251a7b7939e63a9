//! What is done with a stored file before its records are read: it is unpacked, decoded and planned, each in a step
//! of its own and only where it is needed.

use std::io::Read;

use super::{
    Processor,
    chain::{self, Copied},
    decode::FileEncoding,
    failure::FailureReason,
    plan::{ToPlan, open},
    step_slot::StepSlot,
};
use crate::{
    base::time::UnixMillis,
    csv::{Choices, Counts, Encoding, Part, Survey, Surveyor},
    files::{Address, Key, Storage, UnpackError},
    inngest::call::Call,
    progress::RunProgress,
    results::{PLAN, Plan},
    store::steps::{Remarks, Step, StepFiles},
};

/// How many bytes of a file are surveyed at once.
const BLOCK: usize = 1 << 20;

impl Processor {
    /// Does the next step for a stored file, which was fetched `from` an address, uploaded, or copied from another
    /// run's failed records.
    pub(super) async fn prepare(
        &self,
        call: &Call,
        stored: Copied,
        from: Option<Address>,
        slot: &mut StepSlot,
    ) -> Result<Step, FailureReason> {
        let (run, event, position) = (&call.ctx.run_id, &call.event.id, stored.position);
        let choices = self.store.choices_of_event(event).await?;
        // Failed records are in UTF-8, after the header of a file that was not packed.
        let are_failed_records = stored.is_by(chain::FAILED_ROWS) || stored.about.read_before.is_some();
        if !are_failed_records && ![chain::UNPACK, chain::DECODE].iter().any(|step| stored.is_by(step)) {
            match self.packing(&stored.source).await? {
                Some(packing) => {
                    let packed = (stored.source, packing);
                    return self.unpack((run, event), packed, choices.sheet, position, slot).await;
                }
                None if choices.sheet.is_some() => return Err(UnpackError::NotAWorkbook.into()),
                None => {}
            }
        }
        let encoding = match stored.about.encoding {
            Some(decoded) => decoded,
            // Texts of cells have no other.
            None if stored.about.sheet.is_some() => Part::certain(Encoding::UTF_8),
            None if are_failed_records => Part::guess(Encoding::UTF_8),
            None => {
                let encoding = self.encoding(call, &stored, &choices).await?;
                if !encoding.is_utf8() {
                    return self.decode(run, event, &stored.source, encoding, position).await;
                }
                encoding.found
            }
        };
        let Copied { source, about, .. } = stored;
        let (sheet, read_before) = (about.sheet, about.read_before);
        let file = ToPlan { from, encoding, is_decoded: true, sheet, choices, read_before };
        self.plan(call, source, file, position).await
    }

    /// The encoding of a stored file that is not decoded.
    async fn encoding(
        &self,
        call: &Call,
        stored: &Copied,
        choices: &Choices,
    ) -> Result<FileEncoding, FailureReason> {
        if let Some(chosen) = choices.encoding {
            return Ok(FileEncoding::found(Part::chosen(chosen)));
        }
        let known = stored.about.survey.clone();
        let (storage, source) = (self.storage.clone(), stored.source.clone());
        let progress = self.progress.of(&call.ctx.run_id);
        let survey = move || survey(&storage, &source, known, &progress);
        let survey = tokio::task::spawn_blocking(survey).await??;
        let found = survey.encoding();
        Ok(FileEncoding { named: stored.about.named(found), found })
    }

    /// Plans the import of a stored file.
    async fn plan(
        &self,
        call: &Call,
        source: Key,
        file: ToPlan,
        position: u32,
    ) -> Result<Step, FailureReason> {
        let started_at = UnixMillis::now();
        let run = &call.ctx.run_id;
        let (storage, max_record_bytes) = (self.storage.clone(), self.max_record_bytes);
        let step_bytes = self.step_bytes.clone();
        let make = move || Plan::make(&storage, &source, file, max_record_bytes, &step_bytes);
        // Taken before the step: the run may end meanwhile, and its progress be forgotten.
        let progress = self.progress.of(run);
        let plan = tokio::task::spawn_blocking(make).await??;
        progress.set_total_bytes(plan.size);
        progress.set_plan(plan.read_as(), plan.first_rows.as_ref());
        let step = Step {
            name: PLAN.to_owned(),
            position,
            result: serde_json::to_string(&plan)?,
            counts: Counts::default(),
            end_byte: plan.layout.start.byte,
            files: StepFiles::default(),
            stretches: None,
            started_at,
            committed_at: UnixMillis::now(),
        };
        self.commit(run, step, &Remarks::default()).await
    }
}

/// What all bytes of a stored file show, unless it is `known`. Blocks.
fn survey(
    storage: &Storage,
    source: &Key,
    known: Option<Survey>,
    progress: &RunProgress,
) -> Result<Survey, FailureReason> {
    let mut file = open(storage, source)?;
    let size = file.length();
    // An event that Runboard did not send can name the file of another import.
    if let Some(known) = known.filter(|known| known.bytes() == size) {
        return Ok(known);
    }
    let (mut surveyor, mut buffer) = (Surveyor::default(), vec![0; BLOCK]);
    loop {
        if progress.is_stopped() {
            return Err(FailureReason::Stopped);
        }
        match file.read(&mut buffer)? {
            0 => return Ok(surveyor.finish()),
            read => surveyor.feed(&buffer[..read]),
        }
    }
}
