//! The step that decodes a file that is not UTF-8: copies it to storage as UTF-8, where records can be found from
//! any offset, and where every later step and attempt reads the same bytes.

use std::{io, ops::ControlFlow, sync::Arc};

use super::{
    Processor, chain,
    copy::NewCopy,
    failure::FailureReason,
    in_order::{BLOCK, BlockSource, Taker, helpers, in_order},
    plan::open,
};
use crate::{
    base::{
        ids::{EventId, RunId},
        time::UnixMillis,
    },
    csv::{AboutFile, Encoding, Part, ToUtf8},
    files::{Key, OutputFile, Storage, StoredFile},
    progress::{Copying, Receiving, RunProgress},
    store::{quota::Reservation, steps::Step},
};

/// The encoding of a stored file.
#[derive(Clone, Copy, Debug)]
pub(super) struct FileEncoding {
    /// The encoding that its server names. It is the file's if it can decode all of it.
    pub(super) named: Option<Encoding>,
    /// The encoding otherwise.
    pub(super) found: Part<Encoding>,
}

impl FileEncoding {
    pub(super) fn found(found: Part<Encoding>) -> Self {
        Self { named: None, found }
    }

    /// Whether the file can be read in place.
    pub(super) fn is_utf8(&self) -> bool {
        self.found.value.is_utf8() && self.named.is_none()
    }
}

impl Processor {
    /// Decodes the stored file `source`.
    pub(super) async fn decode(
        &self,
        run: &RunId,
        event: &EventId,
        source: &Key,
        encoding: FileEncoding,
        position: u32,
    ) -> Result<Step, FailureReason> {
        let started_at = UnixMillis::now();
        let progress = self.progress.of(run);
        let _at_work = progress.begin();
        let decoded = self.decoded((run, event), source, encoding, &progress).await;
        progress.set_receiving(None);
        let (file, _reservation, encoding) = decoded?;
        let about = AboutFile { encoding: Some(encoding), ..AboutFile::default() };
        let (bytes, key) = (file.finished(), file.keep());
        self.commit_copy(run, chain::DECODE, position, NewCopy { key, bytes, about, started_at }).await
    }

    async fn decoded(
        &self,
        (run, event): (&RunId, &EventId),
        source: &Key,
        FileEncoding { named, found }: FileEncoding,
        progress: &Arc<RunProgress>,
    ) -> Result<(OutputFile, Option<Reservation>, Part<Encoding>), FailureReason> {
        let named = named.map(Part::certain);
        for encoding in named.into_iter().chain([found]) {
            let task = Task {
                storage: self.storage.clone(),
                progress: Arc::clone(progress),
                run: run.clone(),
                source: source.clone(),
                encoding: encoding.value,
                can_escape: named != Some(encoding),
                idle: self.work.idle(),
            };
            let reservation = self.quota.reserve_for(event).await?.map_err(FailureReason::OverQuota)?;
            if let Some((file, reservation)) =
                tokio::task::spawn_blocking(move || task.run(reservation)).await??
            {
                return Ok((file, reservation, encoding));
            }
        }
        Err(FailureReason::FileGone)
    }
}

/// A file to decode.
struct Task {
    storage: Storage,
    progress: Arc<RunProgress>,
    run: RunId,
    source: Key,
    encoding: Encoding,
    /// Bytes that cannot be decoded are escaped.
    can_escape: bool,
    /// How many workers have nothing to do.
    idle: usize,
}

impl Task {
    /// Nearly all bytes are some character of UTF-16, but separators and line ends are ASCII.
    fn is_implausible(&self, first: &EncodedBlock) -> bool {
        self.encoding.is_utf16() && !first.text.iter().any(u8::is_ascii)
    }

    /// Decodes the file within the user's quota. None if it is not in this encoding, and another one is left to try.
    /// Blocks. Leaves no file unless the result is kept.
    fn run(
        &self,
        reservation: Option<Reservation>,
    ) -> Result<Option<(OutputFile, Option<Reservation>)>, FailureReason> {
        let bytes = BytesToDecode::begin(open(&self.storage, &self.source)?, self.encoding);
        let total = bytes.file.length();
        // For this file, and the outputs of the run.
        self.storage.ensure_room(total.saturating_mul(2))?;
        let text = Text {
            task: self,
            total,
            read: 0,
            written: 0,
            since: UnixMillis::now(),
            file: self.storage.create_output(&self.run)?,
            reservation,
            end: None,
        };
        let encoding = self.encoding;
        let decode = |block: &mut EncodedBlock| {
            // Otherwise it was decoded when it was read.
            if encoding.is_single_byte() {
                block.decode(&mut ToUtf8::new(encoding), true);
            }
        };
        let text = in_order(helpers(self.idle), bytes, decode, text);
        match text.end {
            Some(Ok(true)) => {}
            Some(Ok(false)) | None => return Ok(None),
            Some(Err(failure)) => return Err(failure),
        }
        let mut file = text.file;
        file.finish_here();
        file.finish()?;
        Ok(Some((file, text.reservation)))
    }
}

/// A file that is being decoded.
struct BytesToDecode {
    file: StoredFile,
    /// Of an encoding whose characters may lie in two blocks, which are decoded one after the other.
    decoder: Option<ToUtf8>,
    /// All blocks were read.
    is_over: bool,
}

/// A part of the file.
#[derive(Default)]
struct EncodedBlock {
    bytes: Vec<u8>,
    is_last: bool,
    text: Vec<u8>,
    /// Some bytes of it or before it could not be decoded.
    has_escaped: bool,
    failure: Option<io::Error>,
}

impl BytesToDecode {
    fn begin(file: StoredFile, encoding: Encoding) -> Self {
        let decoder = (!encoding.is_single_byte()).then(|| ToUtf8::new(encoding));
        Self { file, decoder, is_over: false }
    }
}

impl BlockSource for BytesToDecode {
    type Block = EncodedBlock;

    fn next(&mut self, block: &mut EncodedBlock) -> bool {
        if self.is_over {
            return false;
        }
        block.bytes.clear();
        block.text.clear();
        let read = self.file.append_to(&mut block.bytes, BLOCK as u64);
        (block.is_last, block.failure) = match read {
            Ok(read) => (read == 0, None),
            Err(error) => (true, Some(error)),
        };
        self.is_over = block.is_last;
        if let Some(decoder) = &mut self.decoder {
            block.decode(decoder, block.is_last);
        }
        true
    }
}

impl EncodedBlock {
    /// `is_end`: no character goes on behind it.
    fn decode(&mut self, decoder: &mut ToUtf8, is_end: bool) {
        decoder.decode(&self.bytes, is_end, &mut self.text);
        self.has_escaped = decoder.has_escaped();
    }
}

/// The text that is written.
struct Text<'t> {
    task: &'t Task,
    /// Bytes of the file.
    total: u64,
    /// Bytes of it whose text is written.
    read: u64,
    written: u64,
    since: UnixMillis,
    file: OutputFile,
    reservation: Option<Reservation>,
    /// Whether all is written, or bytes could not be decoded.
    end: Option<Result<bool, FailureReason>>,
}

impl Taker<BytesToDecode> for Text<'_> {
    fn take(&mut self, block: &mut EncodedBlock) -> ControlFlow<()> {
        self.end = match self.write(block) {
            Ok(true) if !block.is_last => return ControlFlow::Continue(()),
            end => Some(end),
        };
        ControlFlow::Break(())
    }
}

impl Text<'_> {
    /// Returns false if bytes could not be decoded that must be.
    fn write(&mut self, block: &mut EncodedBlock) -> Result<bool, FailureReason> {
        if let Some(failure) = block.failure.take() {
            return Err(failure.into());
        }
        if self.task.progress.is_stopped() {
            return Err(FailureReason::Stopped);
        }
        let is_wrong = block.has_escaped || self.read == 0 && self.task.is_implausible(block);
        if is_wrong && !self.task.can_escape {
            return Ok(false);
        }
        let length = block.text.len() as u64;
        if let Some(reservation) = &mut self.reservation {
            reservation.take(length).map_err(FailureReason::OverQuota)?;
        }
        // The outputs of the run will be as long.
        self.written += length;
        self.task.storage.ensure_room(self.written)?;
        self.file.write(&block.text)?;
        self.read += block.bytes.len() as u64;
        let (bytes, total, since) = (self.read, Some(self.total), self.since);
        self.task.progress.set_receiving(Some(Receiving { copying: Copying::Decoding, bytes, total, since }));
        Ok(true)
    }
}
