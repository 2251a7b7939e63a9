//! The decoders of packed files. Each reads all members, frames and streams of a file, one after the other.

use std::{
    cell::{Cell, RefCell},
    io::{self, BufRead, ErrorKind, Read},
    rc::Rc,
};

use bytes::Bytes;
use bzip2::bufread::MultiBzDecoder;
use flate2::bufread::{DeflateDecoder, GzDecoder, ZlibDecoder};
use lzma_rust2::XzReader;
use ruzstd::decoding::{
    BlockDecodingStrategy, FrameDecoder,
    errors::{FrameDecoderError, ReadFrameHeaderError},
};
use tokio::sync::mpsc;

use super::{Packing, UnpackError};

/// The most memory that a decoder may use for what it refers back to: enough for `xz -9` and `zstd -20`.
pub(super) const MOST_MEMORY: u64 = 65 << 20;

/// Zstandard's window is kept up to twice.
const MOST_WINDOW: u64 = 32 << 20;

/// How many packed bytes Brotli's decoder reads at once.
const BROTLI_BUFFER: usize = 64 << 10;

/// What is known of the packed file while it is read.
#[derive(Debug)]
pub(super) struct PackedSource(Rc<SourceState>);

#[derive(Debug)]
struct SourceState {
    bytes: Cell<u64>,
    failure: RefCell<Option<ErrorKind>>,
    /// Where the unpacked bytes go. Once it is closed, nothing is read any more: a packed file can be read for
    /// hours without one byte coming out.
    receiver: mpsc::Sender<Bytes>,
}

/// Counts what is read.
#[derive(Debug)]
pub(super) struct Counted<R> {
    inner: R,
    state: Rc<SourceState>,
}

impl PackedSource {
    pub(super) fn new(receiver: mpsc::Sender<Bytes>) -> Self {
        Self(Rc::new(SourceState { bytes: Cell::default(), failure: RefCell::default(), receiver }))
    }

    /// Another packed file that is unpacked to the same place.
    pub(super) fn another(&self) -> Self {
        Self::new(self.0.receiver.clone())
    }

    pub(super) fn count<R: Read>(&self, inner: R) -> Counted<R> {
        Counted { inner, state: Rc::clone(&self.0) }
    }

    /// The bytes read so far.
    pub(super) fn bytes(&self) -> u64 {
        self.0.bytes.get()
    }

    /// Why the packed file itself is not read further, if that is so.
    pub(super) fn failure(&self) -> Option<UnpackError> {
        if self.0.receiver.is_closed() {
            return Some(UnpackError::Stopped);
        }
        self.0.failure.borrow().map(|kind| io::Error::from(kind).into())
    }

    /// What an error of a decoder means.
    pub(super) fn explain(&self, packing: Packing, error: io::Error) -> UnpackError {
        if let Some(failure) = self.failure() {
            return failure;
        }
        tracing::debug!(%error, %packing, "a packed file cannot be read");
        match error.kind() {
            ErrorKind::UnexpectedEof => UnpackError::CutOff(packing),
            ErrorKind::OutOfMemory => UnpackError::NeedsMemory { packing },
            ErrorKind::Unsupported => UnpackError::NeedsDictionary(packing),
            _ => UnpackError::Damaged(packing),
        }
    }
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.state.receiver.is_closed() {
            return Err(ErrorKind::BrokenPipe.into());
        }
        let read = self.inner.read(buffer).inspect_err(|error| {
            if error.kind() != ErrorKind::Interrupted {
                *self.state.failure.borrow_mut() = Some(error.kind());
            }
        })?;
        self.state.bytes.set(self.state.bytes.get().saturating_add(read as u64));
        Ok(read)
    }
}

/// Reads what `packed` holds. A zip archive's entries are read one by one instead, as [`deflate`].
pub(super) fn reader<'r>(packing: Packing, packed: impl BufRead + 'r) -> Box<dyn Read + 'r> {
    match packing {
        Packing::Gzip => Box::new(Gzip(Some(GzDecoder::new(packed)))),
        Packing::Zstandard => Box::new(Zstandard::new(packed)),
        Packing::Bzip2 => Box::new(MultiBzDecoder::new(packed)),
        Packing::Xz => Box::new(XzReader::new_mem_limit(packed, true, (MOST_MEMORY >> 10) as u32)),
        Packing::Zip => deflate(packed),
        Packing::Deflate => deflate_body(packed),
        Packing::Brotli => Box::new(Brotli::Unknown(Some(packed))),
    }
}

pub(super) fn deflate<'r>(packed: impl BufRead + 'r) -> Box<dyn Read + 'r> {
    Box::new(DeflateDecoder::new(packed))
}

/// The coding `deflate` is the zlib format (RFC 9110, 8.4.1.2), but some servers send the bare one.
fn deflate_body<'r>(packed: impl BufRead + 'r) -> Box<dyn Read + 'r> {
    Box::new(DeflateBody::Unknown(Some(packed)))
}

enum DeflateBody<R> {
    /// The first bytes were not read yet.
    Unknown(Option<R>),
    Zlib(ZlibDecoder<R>),
    Bare(DeflateDecoder<R>),
}

impl<R: BufRead> Read for DeflateBody<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if let Self::Unknown(packed) = self
            && let Some(mut packed) = packed.take()
        {
            // A zlib header names the method 8, and is a multiple of 31 (RFC 1950, 2.2).
            let is_zlib = match *packed.fill_buf()? {
                [first, second, ..] => first & 0xf == 8 && u16::from_be_bytes([first, second]) % 31 == 0,
                _ => false,
            };
            *self = if is_zlib {
                Self::Zlib(ZlibDecoder::new(packed))
            } else {
                Self::Bare(DeflateDecoder::new(packed))
            };
        }
        match self {
            Self::Unknown(_) => Ok(0),
            Self::Zlib(decoder) => decoder.read(buffer),
            Self::Bare(decoder) => decoder.read(buffer),
        }
    }
}

/// A Brotli stream (RFC 7932). Its window has at most 16 MiB. The decoder also knows a form with a window of up to
/// 1 GiB, which is no content coding.
enum Brotli<R: BufRead> {
    /// The first byte was not read yet.
    Unknown(Option<R>),
    Known(Box<brotli::Decompressor<R>>),
}

/// The low bits of the first byte of the form with large windows.
const LARGE_WINDOW: u8 = 0x11;

impl<R: BufRead> Read for Brotli<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if let Self::Unknown(packed) = self
            && let Some(mut packed) = packed.take()
        {
            if packed.fill_buf()?.first().is_some_and(|first| first & 0x7f == LARGE_WINDOW) {
                return Err(ErrorKind::OutOfMemory.into());
            }
            *self = Self::Known(Box::new(brotli::Decompressor::new(packed, BROTLI_BUFFER)));
        }
        match self {
            Self::Unknown(_) => Ok(0),
            Self::Known(decoder) => decoder.read(buffer),
        }
    }
}

/// The members of a gzip file, also with zeros behind them, as tapes and some tools leave them. None after the
/// end.
struct Gzip<R>(Option<GzDecoder<R>>);

impl<R: BufRead> Read for Gzip<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while let Some(member) = &mut self.0 {
            let read = member.read(buffer)?;
            if read > 0 || buffer.is_empty() {
                return Ok(read);
            }
            let Some(member) = self.0.take() else { break };
            let mut packed = member.into_inner();
            if skip_zeros(&mut packed)? {
                self.0 = Some(GzDecoder::new(packed));
            }
        }
        Ok(0)
    }
}

/// Skips zeros. Returns whether other bytes follow.
fn skip_zeros(packed: &mut impl BufRead) -> io::Result<bool> {
    loop {
        let ahead = packed.fill_buf()?;
        let zeros = ahead.iter().take_while(|byte| **byte == 0).count();
        let (is_end, is_other) = (ahead.is_empty(), zeros < ahead.len());
        packed.consume(zeros);
        if is_end || is_other {
            return Ok(is_other);
        }
    }
}

/// The frames of a Zstandard file.
struct Zstandard<R> {
    packed: R,
    frame: FrameDecoder,
    /// A frame has begun, and its checksum was not checked yet.
    is_inside: bool,
}

impl<R: BufRead> Zstandard<R> {
    fn new(packed: R) -> Self {
        let mut frame = FrameDecoder::new();
        frame.set_max_window_size(MOST_WINDOW);
        Self { packed, frame, is_inside: false }
    }

    /// Begins the next frame. Returns false at the end of the file.
    fn next_frame(&mut self) -> io::Result<bool> {
        while !self.packed.fill_buf()?.is_empty() {
            match self.frame.init(&mut self.packed) {
                Ok(()) => return Ok(true),
                Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame {
                    length,
                    ..
                })) => {
                    let length = u64::from(length);
                    let skipped = io::copy(&mut self.packed.by_ref().take(length), &mut io::sink())?;
                    if skipped < length {
                        return Err(ErrorKind::UnexpectedEof.into());
                    }
                }
                Err(error) => return Err(zstandard_error(error)),
            }
        }
        Ok(false)
    }

    fn check_sum(&self) -> io::Result<()> {
        let is_right = self
            .frame
            .get_checksum_from_data()
            .is_none_or(|expected| self.frame.get_calculated_checksum() == Some(expected));
        if is_right { Ok(()) } else { Err(ErrorKind::InvalidData.into()) }
    }
}

impl<R: BufRead> Read for Zstandard<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        loop {
            if !self.is_inside {
                self.is_inside = self.next_frame()?;
                if !self.is_inside {
                    return Ok(0);
                }
            }
            if self.frame.can_collect() > 0 {
                return self.frame.read(buffer);
            }
            if self.frame.is_finished() {
                self.check_sum()?;
                self.is_inside = false;
                continue;
            }
            let decoded = self.frame.decode_blocks(&mut self.packed, BlockDecodingStrategy::UptoBlocks(1));
            decoded.map_err(zstandard_error)?;
        }
    }
}

/// The decoder hides the kind of an error of the packed file in its own error.
fn zstandard_error(error: FrameDecoderError) -> io::Error {
    let kind = match &error {
        FrameDecoderError::WindowSizeTooBig { .. } => ErrorKind::OutOfMemory,
        FrameDecoderError::DictNotProvided { .. } => ErrorKind::Unsupported,
        _ => {
            let sources =
                std::iter::successors(Some(&error as &dyn std::error::Error), |error| error.source());
            let ended = sources
                .filter_map(|error| error.downcast_ref::<io::Error>())
                .any(|error| error.kind() == ErrorKind::UnexpectedEof);
            if ended { ErrorKind::UnexpectedEof } else { ErrorKind::InvalidData }
        }
    };
    io::Error::new(kind, error)
}
