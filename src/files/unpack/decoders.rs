//! The decoders of packed files. Each reads all members, frames and streams of a file, one after the other.

use std::{
    cell::{Cell, RefCell},
    io::{self, BufRead, ErrorKind, Read},
    rc::Rc,
};

use bytes::Bytes;
use bzip2::bufread::BzDecoder;
use flate2::bufread::{DeflateDecoder, GzDecoder, ZlibDecoder};
use ruzstd::decoding::{
    BlockDecodingStrategy, FrameDecoder,
    errors::{FrameDecoderError, ReadFrameHeaderError},
};
use tokio::sync::mpsc;

use super::{
    Packing, UnpackError,
    members::{Members, SmallMembers, XzMember},
};

/// Zstandard's window is kept up to twice.
const MOST_WINDOW: u64 = 32 << 20;

/// The largest window of Zstandard as the coding of an answer (RFC 9659).
const MOST_BODY_WINDOW: u64 = 8 << 20;

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

    /// Whether the receiver of what is unpacked has gone.
    pub(super) fn is_stopped(&self) -> bool {
        self.0.receiver.is_closed()
    }

    /// Why the packed file itself is not read further, if that is so.
    pub(super) fn failure(&self) -> Option<UnpackError> {
        if self.is_stopped() {
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
pub(super) fn reader<'r, R: BufRead + 'r>(packing: Packing, packed: R) -> Box<dyn Read + 'r> {
    match packing {
        Packing::Gzip => Box::new(Members::<GzDecoder<R>>::new(packed)),
        Packing::Zstandard => Box::new(Zstandard::new(packed, MOST_WINDOW)),
        Packing::Bzip2 => Box::new(Members::<BzDecoder<R>>::new(packed)),
        Packing::Xz => Box::new(Members::<XzMember<R>>::new(packed)),
        Packing::Zip => deflate(packed),
        Packing::Deflate => deflate_body(packed),
        Packing::Brotli => Box::new(Brotli::Unknown(Some(packed))),
    }
}

/// Reads the body of an answer, which `packed` is.
pub(super) fn body_reader<'r, R: BufRead + 'r>(packing: Packing, packed: R) -> Box<dyn Read + 'r> {
    match packing {
        Packing::Zstandard => Box::new(Zstandard::new(packed, MOST_BODY_WINDOW)),
        packing => reader(packing, packed),
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
    Zlib(ZlibDecoder<WithFirst<R>>),
    Bare(DeflateDecoder<WithFirst<R>>),
}

/// The first bytes, which were read already, and the rest.
type WithFirst<R> = io::Chain<io::Cursor<Vec<u8>>, R>;

/// The bytes of a zlib header.
const ZLIB_HEADER: u64 = 2;

impl<R: BufRead> Read for DeflateBody<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if let Self::Unknown(packed) = self
            && let Some(mut packed) = packed.take()
        {
            // Gathered, because the first piece of an answer may have one byte.
            let mut first = Vec::new();
            packed.by_ref().take(ZLIB_HEADER).read_to_end(&mut first)?;
            // A zlib header names the method 8, and is a multiple of 31 (RFC 1950, 2.2).
            let is_zlib = match *first {
                [first, second] => first & 0xf == 8 && u16::from_be_bytes([first, second]) % 31 == 0,
                _ => false,
            };
            let packed = io::Cursor::new(first).chain(packed);
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

/// The frames of a Zstandard file.
struct Zstandard<R> {
    packed: R,
    frame: FrameDecoder,
    /// A frame has begun, and its checksum was not checked yet.
    is_inside: bool,
    small: SmallMembers,
}

impl<R: BufRead> Zstandard<R> {
    fn new(packed: R, most_window: u64) -> Self {
        let mut frame = FrameDecoder::new();
        frame.set_max_window_size(most_window);
        Self { packed, frame, is_inside: false, small: SmallMembers::default() }
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
                let read = self.frame.read(buffer)?;
                self.small.came_out(read);
                return Ok(read);
            }
            if self.frame.is_finished() {
                self.check_sum()?;
                self.small.ended()?;
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

#[cfg(test)]
mod tests {
    use std::io::{BufReader, Write};

    use flate2::{
        Compression,
        write::{DeflateEncoder, ZlibEncoder},
    };
    use ruzstd::encoding::{CompressionLevel, compress_to_vec};

    use super::*;

    #[test]
    fn the_form_of_a_deflate_stream_is_known_whatever_its_pieces() {
        let text = b"id,name\n1,Ann\n";
        let mut zlib = ZlibEncoder::new(Vec::new(), Compression::fast());
        zlib.write_all(text).unwrap();
        let mut bare = DeflateEncoder::new(Vec::new(), Compression::fast());
        bare.write_all(text).unwrap();
        for packed in [zlib.finish().unwrap(), bare.finish().unwrap()] {
            for piece in [1, 2, 100] {
                let mut unpacked = Vec::new();
                let pieces = BufReader::with_capacity(piece, packed.as_slice());
                reader(Packing::Deflate, pieces).read_to_end(&mut unpacked).unwrap();
                assert_eq!(unpacked, text, "pieces of {piece}");
            }
        }
    }

    #[test]
    fn only_some_frames_may_hold_next_to_nothing() {
        let pack = |text: &[u8]| compress_to_vec(text, CompressionLevel::Fastest);
        let (large, empty) = (pack(&[b'a'; 100]), pack(b""));
        let read = |file: &[u8]| {
            let mut frames = Zstandard { small: SmallMembers::up_to(2), ..Zstandard::new(file, MOST_WINDOW) };
            frames.read_to_end(&mut Vec::new())
        };
        let file = [&*empty, &*large, &*empty, &*large].concat();
        assert_eq!(read(&file).unwrap(), 200);
        let error = read(&[&*file, &*empty].concat()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidData);
    }
}
