//! The first rows of a stored file as a run would read them. Nothing is run or recorded.

use std::{io, time::Duration};

use tokio::{task::JoinError, time::timeout};

use super::{
    LargeMemory, Share, Slot, Slots,
    failure::FailureReason,
    plan::{Front, ToPlan, open},
    unpack::{UnpackedFront, packing, unpacked_front},
};
use crate::{
    base::ids::UserId,
    csv::{
        AboutFile, Choices, Encoding, FirstRows, HeaderAt, Part, ReadAs, SheetName, SheetRead, Sheets,
        Survey, ToUtf8,
    },
    files::{Incoming, Key, Packing, Storage, StoredFile, UnpackError},
    store::last_choices::HeaderHash,
};

/// How many previews are read at once. Each reads only the front of its file, which takes a fraction of a second.
const AT_ONCE: usize = 2;

/// How many bytes of a file whose bytes were not examined yet show its encoding.
const SURVEYED: u64 = 8 << 20;

/// How many bytes of what a packed file holds are unpacked: the longest header and some rows.
const UNPACKED: usize = 2 << 20;

/// How long unpacking may take. A workbook must be read whole before its first row is known.
const UNPACKING: Duration = Duration::from_secs(10);

/// How long a preview waits for its turn.
const WAITS: Duration = Duration::from_secs(5);

/// How long a preview waits for large memory, while it holds its turn.
const WAITS_FOR_MEMORY: Duration = Duration::from_millis(500);

/// Why there is no preview of a file that is unpacked too slowly.
const TOO_SLOW: &str = "The file takes too long to unpack for a preview.";

/// Reads previews, a few at once and shared fairly between users.
#[derive(Clone, Debug)]
pub struct Previewer {
    storage: Storage,
    max_record_bytes: usize,
    slots: Slots,
    large_memory: LargeMemory,
}

/// The front of a file as it would be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Preview {
    pub read_as: ReadAs,
    pub first_rows: FirstRows,
    /// None if the file has no header.
    pub header: Option<HeaderHash>,
}

#[derive(Debug, thiserror::Error)]
pub enum PreviewError {
    /// The import would fail. The text is for people: what is wrong, and what helps.
    #[error("{0}")]
    NotReadable(String),
    /// It cannot be shown now, but an import may work. The text is for people.
    #[error("{0}")]
    NotShown(String),
    /// The file has no such sheet. The text says which it has.
    #[error("{0}")]
    NoSuchSheet(String),
    /// Too many others are being read.
    #[error("no turn came in time")]
    Busy,
    #[error("a stored file could not be read: {0}")]
    Storage(#[from] io::Error),
    #[error("reading was interrupted: {0}")]
    BrokenOff(#[from] JoinError),
}

impl Previewer {
    #[must_use]
    pub fn new(storage: Storage, max_record_bytes: usize, large_memory: LargeMemory) -> Self {
        Self { storage, max_record_bytes, slots: Slots::new(AT_ONCE, Share::All), large_memory }
    }

    /// The front of `source`, a stored file of `owner`, read as `choices` say.
    /// `about` is what is known of it.
    pub async fn read(
        &self,
        owner: UserId,
        source: Key,
        about: AboutFile,
        choices: Choices,
    ) -> Result<Preview, PreviewError> {
        let slot = self.slot(owner).await?;
        let large_memory = async || self.large_memory(owner).await;
        let front = unpacked_front(&self.storage, &source, choices.sheet.clone(), UNPACKED, large_memory);
        let front = timeout(UNPACKING, front).await;
        let front = front.map_err(|_| PreviewError::NotShown(TOO_SLOW.to_owned()))??;
        // What the packed bytes have shown says nothing of those in them.
        let (front, about, sheet) = match front {
            Some(UnpackedFront { bytes, sheet }) => (Some(bytes), AboutFile::default(), sheet),
            None => (None, about, None),
        };
        let (storage, max_record_bytes) = (self.storage.clone(), self.max_record_bytes);
        let read = move || {
            // Held by the reading thread, which goes on if the request is dropped.
            let _held = slot;
            let open = || match &front {
                Some(bytes) => Ok(StoredFile::of_bytes(bytes.clone())),
                None => open(&storage, &source),
            };
            read(open, sheet, about, choices, max_record_bytes)
        };
        tokio::task::spawn_blocking(read).await?
    }

    /// The sheets of `source`, a stored file of `owner`. None if it is no workbook, or a damaged one.
    pub async fn sheets(&self, owner: UserId, source: &Key) -> Result<Option<Sheets>, PreviewError> {
        if packing(&self.storage, source).await? != Some(Packing::Zip) {
            return Ok(None);
        }
        let _slot = self.slot(owner).await?;
        let unpacking = self.storage.unpack(source, Packing::Zip, None, u64::MAX);
        let asked = unpacking.memory_request();
        let examined = async {
            tokio::select! {
                sheets = unpacking.sheets() => return Ok(sheets),
                request = asked => request.give(Box::new(self.large_memory(owner).await?)),
            }
            Ok::<_, FailureReason>(unpacking.sheets().await)
        };
        Ok(match timeout(UNPACKING, examined).await {
            Ok(Ok(sheets)) => sheets,
            // It takes too long, or large memory. It is not known then which sheets have rows.
            Ok(Err(_)) | Err(_) => unpacking.sheet_names(),
        })
    }

    async fn large_memory(&self, owner: UserId) -> Result<Slot, FailureReason> {
        let tenant = owner.to_string();
        timeout(WAITS_FOR_MEMORY, self.large_memory.archives.acquire(&tenant))
            .await
            .map_err(|_| FailureReason::MemoryInUse)
    }

    /// The sheet of `source`, a stored workbook of `owner`, that is meant by `name`.
    pub async fn sheet_named(
        &self,
        owner: UserId,
        source: &Key,
        name: SheetName,
    ) -> Result<SheetName, PreviewError> {
        let _slot = self.slot(owner).await?;
        Ok(self.storage.sheet_named(source, name).await.map_err(FailureReason::from)?)
    }

    /// As [`sheet_named`](Self::sheet_named), of a file that was received whole.
    pub async fn sheet_received(
        &self,
        owner: UserId,
        file: &mut Incoming,
        name: SheetName,
    ) -> Result<SheetName, PreviewError> {
        let _slot = self.slot(owner).await?;
        Ok(file.sheet_named(name).await.map_err(FailureReason::from)?)
    }

    async fn slot(&self, owner: UserId) -> Result<Slot, PreviewError> {
        let slot = timeout(WAITS, self.slots.acquire(&owner.to_string())).await;
        slot.map_err(|_| PreviewError::Busy)
    }
}

/// Blocks.
fn read(
    open: impl Fn() -> Result<StoredFile, FailureReason>,
    sheet: Option<SheetRead>,
    about: AboutFile,
    choices: Choices,
    max_record_bytes: usize,
) -> Result<Preview, PreviewError> {
    let read_before = about.read_before.clone().filter(|_| choices.is_empty());
    let encoding = match choices.encoding {
        _ if sheet.is_some() => Part::certain(Encoding::UTF_8),
        _ if read_before.is_some() => Part::guess(Encoding::UTF_8),
        Some(chosen) => Part::chosen(chosen),
        None => encoding(&open, &about)?,
    };
    let is_decoded = encoding.value.is_utf8();
    let known = ToPlan { from: None, encoding, is_decoded, sheet, choices, read_before };
    let Front { layout, reading, sheet, first_rows, .. } = Front::read(open()?, known, max_record_bytes)?;
    let reading = reading.ok_or(FailureReason::NoText)?;
    let header = (reading.header.value != HeaderAt::None).then(|| HeaderHash::of(&layout.header));
    Ok(Preview { header, read_as: ReadAs { reading, dialect: layout.dialect, sheet }, first_rows })
}

/// The encoding of a file, as far as its front tells. Blocks.
fn encoding(
    open: impl Fn() -> Result<StoredFile, FailureReason>,
    about: &AboutFile,
) -> Result<Part<Encoding>, PreviewError> {
    let front = || {
        let mut front = Vec::new();
        open()?.append_to(&mut front, SURVEYED)?;
        Ok::<_, PreviewError>(front)
    };
    let found = match &about.survey {
        Some(survey) => survey.encoding(),
        None => {
            let front = front()?;
            let survey = Survey::of_front(&front);
            // What a packed file holds was not unpacked whole, and another encoding may show later.
            let is_known = front.len() < UNPACKED || survey.has_mark();
            if is_known { survey.encoding() } else { Part::guess(survey.encoding().value) }
        }
    };
    let Some(named) = about.named(found) else { return Ok(found) };
    let mut decoder = ToUtf8::new(named);
    decoder.decode(&front()?, false, &mut Vec::new());
    Ok(if decoder.has_escaped() { found } else { Part::certain(named) })
}

impl From<FailureReason> for PreviewError {
    fn from(why: FailureReason) -> Self {
        match why {
            FailureReason::Io(error) | FailureReason::StorageAway(error) => Self::Storage(error),
            FailureReason::Unpack(why @ (UnpackError::NoSuchSheet { .. } | UnpackError::NotAWorkbook)) => {
                Self::NoSuchSheet(why.to_string())
            }
            why @ (FailureReason::MemoryInUse | FailureReason::NoTurn | FailureReason::Stopped) => {
                Self::NotShown(why.to_string())
            }
            why => Self::NotReadable(why.to_string()),
        }
    }
}
