//! Unpacks packed files: recognised by their content, in constant memory, and within limits on what they grow to.

mod decoders;
mod members;
mod memory;
mod sink;
mod state;
mod workbook;
mod zip;

use std::{
    fmt,
    fs::File,
    io::{self, BufReader, Read, Seek},
    sync::Arc,
};

use bytes::Bytes;
use tokio::{sync::mpsc, task::JoinHandle};

pub use self::memory::{MemoryPermit, MemoryRequest};
use self::{
    decoders::PackedSource,
    sink::{BLOCKS_AHEAD, Sink},
    state::UnpackingState,
};
use super::{BinaryKind, Incoming, Key, Storage, StoredFile};
use crate::{
    base::limits::bytes_at_most,
    csv::{SheetName, SheetRead, Sheets},
};

/// A packed file that holds a single file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packing {
    Gzip,
    Zstandard,
    Bzip2,
    Xz,
    Zip,
    /// As the `Content-Encoding` of an answer, not of a file.
    Deflate,
    Brotli,
}

impl Packing {
    /// The packing of a file by `head`, its first [`BinaryKind::HEAD_BYTES`]; None if it is not packed.
    #[must_use]
    pub fn sniff(head: &[u8]) -> Option<Self> {
        BinaryKind::sniff(head).and_then(Self::of)
    }

    /// The packing that files of this kind have; None if they are not unpacked here.
    #[must_use]
    pub fn of(kind: BinaryKind) -> Option<Self> {
        match kind {
            BinaryKind::Gzip => Some(Self::Gzip),
            BinaryKind::Zstandard => Some(Self::Zstandard),
            BinaryKind::Bzip2 => Some(Self::Bzip2),
            BinaryKind::Xz => Some(Self::Xz),
            BinaryKind::Zip => Some(Self::Zip),
            _ => None,
        }
    }
}

impl Packing {
    /// Whether its decoder may refer to much more of what came out than a few MiB.
    fn remembers_much(self) -> bool {
        matches!(self, Self::Xz | Self::Zstandard)
    }
}

/// As part of a sentence: "The gzip archive is damaged."
impl fmt::Display for Packing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Gzip => "gzip archive",
            Self::Zstandard => "Zstandard archive",
            Self::Bzip2 => "bzip2 archive",
            Self::Xz => "xz archive",
            Self::Zip => "zip archive",
            Self::Deflate => "deflate stream",
            Self::Brotli => "Brotli stream",
        })
    }
}

/// Why a file could not be unpacked. The text is for people: what is wrong, and in a second sentence what
/// helps.
#[derive(Debug, thiserror::Error)]
pub enum UnpackError {
    #[error("The {0} is damaged. Pack the file again, or import it without packing it.")]
    Damaged(Packing),
    #[error("The {0} is incomplete: it ends too early. Copy or download it again, and import that.")]
    CutOff(Packing),
    #[error(
        "The {packing} holds more than {}, which is the limit here. Split the file and import its parts.",
        bytes_at_most(*.limit)
    )]
    TooLarge { packing: Packing, limit: u64 },
    #[error(
        "The {packing} grows to more than {} times its size when it is unpacked. Unpack it and import the file inside.",
        sink::MOST_GROWTH
    )]
    Bomb { packing: Packing },
    #[error(
        "The {packing} needs more than {} of memory to be unpacked. Pack the file with a lower level, or import it without packing it.",
        bytes_at_most(members::MOST_MEMORY)
    )]
    NeedsMemory { packing: Packing },
    #[error("The {0} needs a dictionary to be unpacked. Pack the file without one, or import it as it is.")]
    NeedsDictionary(Packing),
    #[error("The {packing} holds {kind}, {}. Import the CSV itself.", .kind.instead_of())]
    OtherKind { packing: Packing, kind: BinaryKind },
    #[error("The {packing} holds another packed file: {kind}. Unpack it and import the file inside.")]
    Nested { packing: Packing, kind: BinaryKind },
    #[error("The zip archive holds no file. Pack the file again, or import it without packing it.")]
    NoFile,
    /// `names` are the first names.
    #[error(
        "The zip archive holds {count} files: {names}. Import one of them, or a zip archive of only one."
    )]
    SeveralFiles { count: u64, names: String },
    #[error("The zip archive is protected by a password. Unpack it and import the file inside.")]
    Encrypted,
    #[error(
        "The zip archive is packed with a method that Runboard does not read. Unpack it and import the file inside."
    )]
    Method,
    #[error("The file is {0}, not a CSV. Export it as CSV and import that.")]
    Document(&'static str),
    #[error("This is a damaged Excel workbook: it has no sheet. Save it as CSV and import that.")]
    NoSheet,
    /// `listed` are the first names.
    #[error("The workbook has no sheet \"{}\". It has {listed}.", .name.as_str())]
    NoSuchSheet { name: SheetName, listed: String },
    #[error("The sheet \"{}\" is empty. Choose another one.", .0.as_str())]
    EmptySheet(SheetName),
    #[error("The file is no Excel workbook, so no sheet of it can be chosen. Import it without one.")]
    NotAWorkbook,
    #[error("This is a damaged Excel workbook. Open it in Excel, save it as CSV and import that.")]
    DamagedWorkbook,
    #[error(
        "The Excel workbook is too large: its texts need more than {} of memory. Save it as CSV and import that.",
        bytes_at_most(workbook::MOST_MEMORY as u64)
    )]
    WorkbookMemory,
    #[error(
        "The Excel workbook is too large: it lists more than {} sheets or other parts. Save it as CSV and import that.",
        workbook::MOST_LISTED
    )]
    WorkbookParts,
    /// The file is no longer read: its step was stopped.
    #[error("Unpacking was stopped.")]
    Stopped,
    #[error("A stored file could not be read.")]
    Storage(#[from] io::Error),
}

/// A file that is being unpacked on a thread of its own. If it is dropped, the thread ends soon.
#[derive(Debug)]
pub struct Unpacking {
    packing: Packing,
    blocks: mpsc::Receiver<Bytes>,
    state: Arc<UnpackingState>,
    work: Option<JoinHandle<Result<(), UnpackError>>>,
}

impl Storage {
    /// Begins to unpack the stored file `key`, up to `limit` bytes. Of a workbook `sheet` is unpacked, or the first
    /// one with content; nothing else has sheets.
    #[must_use]
    pub fn unpack(&self, key: &Key, packing: Packing, sheet: Option<SheetName>, limit: u64) -> Unpacking {
        let (storage, key) = (self.clone(), key.clone());
        let (send, blocks) = mpsc::channel(BLOCKS_AHEAD);
        let state = Arc::new(UnpackingState::default());
        let sink = Sink::new(packing, limit, send, Arc::clone(&state));
        let work = tokio::task::spawn_blocking(move || unpack(&storage, &key, packing, sheet.as_ref(), sink));
        Unpacking { packing, blocks, state, work: Some(work) }
    }

    /// The sheet of the stored workbook `key` that is meant by `name`.
    pub async fn sheet_named(&self, key: &Key, name: SheetName) -> Result<SheetName, UnpackError> {
        let (storage, key) = (self.clone(), key.clone());
        let open = move |source: &PackedSource| {
            let mut file = storage.file(&key)?;
            if is_zip(&mut file)? {
                in_any_order(&storage, file, source)
            } else {
                Err(UnpackError::NotAWorkbook)
            }
        };
        sheet_named(open, name).await
    }
}

impl Incoming {
    /// The sheet of this workbook, which has arrived whole, that is meant by `name`. If that cannot be looked up
    /// before the workbook is stored, it is `name`, and the run says if there is no such sheet.
    pub async fn sheet_named(&mut self, name: SheetName) -> Result<SheetName, UnpackError> {
        if Packing::sniff(self.head()) != Some(Packing::Zip) {
            return Err(UnpackError::NotAWorkbook);
        }
        match self.received().await? {
            Some(file) => sheet_named(move |_| Ok(file), name).await,
            None => Ok(name),
        }
    }
}

fn is_zip(file: &mut StoredFile) -> io::Result<bool> {
    let mut head = Vec::new();
    file.append_to(&mut head, BinaryKind::HEAD_BYTES as u64)?;
    Ok(Packing::sniff(&head) == Some(Packing::Zip))
}

/// A stored file as one that can be read in any order. That of a bucket is copied to the local disk, unless nobody waits
/// for what is in it. Blocks.
fn in_any_order(storage: &Storage, file: StoredFile, source: &PackedSource) -> Result<File, UnpackError> {
    let copied = file.into_local(|bytes| storage.temporary_file(bytes), || source.is_stopped());
    copied?.ok_or(UnpackError::Stopped)
}

async fn sheet_named(
    open: impl FnOnce(&PackedSource) -> Result<File, UnpackError> + Send + 'static,
    name: SheetName,
) -> Result<SheetName, UnpackError> {
    // Nothing is unpacked to it, but it ends the reading if this future is dropped.
    let (send, _blocks) = mpsc::channel(1);
    let find = move || {
        let source = PackedSource::new(send);
        let file = open(&source)?;
        let archive = zip::Archive::read(&file)?;
        if workbook::is_workbook(&archive) {
            workbook::sheet_named(&file, &archive, source, &name)
        } else {
            Err(UnpackError::NotAWorkbook)
        }
    };
    tokio::task::spawn_blocking(find).await.map_err(io::Error::other)?
}

impl Unpacking {
    /// Begins to unpack the pieces that are sent to the returned sender, up to `limit` bytes.
    #[must_use]
    pub(super) fn of_pieces(packing: Packing, limit: u64) -> (mpsc::Sender<Bytes>, Self) {
        let (arrive, pieces) = mpsc::channel(BLOCKS_AHEAD);
        let (send, blocks) = mpsc::channel(BLOCKS_AHEAD);
        let work = tokio::task::spawn_blocking(move || {
            let sink = Sink::new(packing, limit, send, Arc::default());
            let source = sink.source();
            let packed = BufReader::with_capacity(sink::BLOCK, source.count(Pieces::new(pieces)));
            sink.fill(&mut *decoders::body_reader(packing, packed), &source, false)
        });
        (arrive, Self { packing, blocks, state: Arc::default(), work: Some(work) })
    }

    /// How many packed bytes are unpacked, and of how many. 0 while that is unknown.
    #[must_use]
    pub fn unpacked(&self) -> (u64, u64) {
        self.state.unpacked()
    }

    /// Waits until its thread needs large memory. It waits until the request is answered.
    pub fn memory_request(&self) -> impl Future<Output = MemoryRequest> + use<> {
        let state = Arc::clone(&self.state);
        async move { state.memory.next().await }
    }

    /// The sheets of the workbook as it lists them, none of them examined. None while that is unknown.
    #[must_use]
    pub fn sheet_names(&self) -> Option<Sheets> {
        self.state.sheet_names()
    }

    /// The sheets of the workbook, once they are known. None if the file is no workbook, or a damaged one.
    pub async fn sheets(&self) -> Option<Sheets> {
        self.state.sheets().await
    }

    /// The sheet that is unpacked, once [`next`](Self::next) has returned something. None if the file is no workbook,
    /// or none of its sheets has content.
    #[must_use]
    pub fn sheet(&self) -> Option<SheetRead> {
        self.state.sheet()
    }

    /// The next bytes; None at the end of the whole file. Nothing is lost if it is dropped before.
    pub async fn next(&mut self) -> Result<Option<Bytes>, UnpackError> {
        if let Some(block) = self.blocks.recv().await {
            return Ok(Some(block));
        }
        let Some(work) = &mut self.work else { return Ok(None) };
        let ended = work.await;
        self.work = None;
        match ended {
            Ok(ended) => ended.map(|()| None),
            // A decoder gave up on a file that it did not expect.
            Err(error) if error.is_panic() => {
                tracing::error!(%error, "a decoder panicked");
                Err(UnpackError::Damaged(self.packing))
            }
            Err(_) => Err(UnpackError::Stopped),
        }
    }

    /// Checks the first bytes that came out: a packed file in a packed file and other binary files are refused.
    pub fn check(&self, head: &[u8]) -> Result<(), UnpackError> {
        let packing = self.packing;
        match BinaryKind::sniff(head) {
            None => Ok(()),
            Some(kind) if Packing::of(kind).is_some() => Err(UnpackError::Nested { packing, kind }),
            Some(kind) => Err(UnpackError::OtherKind { packing, kind }),
        }
    }
}

/// Reads pieces as they arrive. Blocks.
struct Pieces {
    arriving: mpsc::Receiver<Bytes>,
    piece: Bytes,
}

impl Pieces {
    fn new(arriving: mpsc::Receiver<Bytes>) -> Self {
        Self { arriving, piece: Bytes::new() }
    }
}

impl Read for Pieces {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.piece.is_empty() {
            match self.arriving.blocking_recv() {
                Some(piece) => self.piece = piece,
                None => return Ok(0),
            }
        }
        let most = self.piece.len().min(buffer.len());
        buffer[..most].copy_from_slice(&self.piece.split_to(most));
        Ok(most)
    }
}

/// Unpacks the stored file `key`, or `sheet` of a workbook, into `sink`.
fn unpack(
    storage: &Storage,
    key: &Key,
    packing: Packing,
    sheet: Option<&SheetName>,
    sink: Sink,
) -> Result<(), UnpackError> {
    let file = storage.file(key)?;
    if packing != Packing::Zip {
        if sheet.is_some() {
            return Err(UnpackError::NotAWorkbook);
        }
        sink.state().set_packed_size(file.length());
        let source = sink.source();
        let packed = BufReader::with_capacity(sink::BLOCK, source.count(file));
        return sink.fill(&mut *decoders::reader(packing, packed), &source, packing.remembers_much());
    }
    let mut file = in_any_order(storage, file, &sink.source())?;
    let archive = zip::Archive::read(&file)?;
    if workbook::is_workbook(&archive) {
        return workbook::read(&file, &archive, sheet, sink);
    }
    if sheet.is_some() {
        return Err(UnpackError::NotAWorkbook);
    }
    let entry = archive.only_file()?;
    sink.state().set_packed_size(entry.packed_bytes);
    let source = sink.source();
    let start = entry.data_start(&file)?;
    file.seek(io::SeekFrom::Start(start))?;
    let packed = BufReader::with_capacity(sink::BLOCK, source.count(file.take(entry.packed_bytes)));
    sink.fill(&mut *entry.reader(packed)?, &source, entry.remembers_much())
}
