//! Packed files of several members, one after the other. To begin a member takes much longer than to read a few bytes,
//! so only some may hold next to nothing.

use std::{
    io::{self, BufRead, ErrorKind, Read},
    mem,
};

use bzip2::bufread::BzDecoder;
use flate2::bufread::GzDecoder;
use lzma_rust2::XzReader;

/// The most memory that a decoder may use for what it refers back to: enough for `xz -9` and `zstd -20`.
pub(super) const MOST_MEMORY: u64 = 65 << 20;

/// A member with fewer bytes than this is small.
const SMALL: u64 = 64;

/// The most small members: more than any archive has that files were appended to. As many of bzip2 take two seconds.
const MOST_SMALL: u32 = 50_000;

/// The most packed bytes of an xz stream that are read in a row without one byte coming out: a stream can have any
/// number of empty blocks. The list of a stream's blocks at its end is much shorter.
const MOST_IN_VAIN: u64 = 4 << 20;

/// The zeros between xz streams are a multiple of this (the .xz file format 1.2.1, 2.2).
const XZ_PADDING: u64 = 4;

/// Counts the members that hold next to nothing.
#[derive(Debug)]
pub(super) struct SmallMembers {
    /// How many more there may be.
    left: u32,
    /// Of the member that is being read.
    bytes: u64,
}

impl Default for SmallMembers {
    fn default() -> Self {
        Self::up_to(MOST_SMALL)
    }
}

impl SmallMembers {
    pub(super) fn up_to(most: u32) -> Self {
        Self { left: most, bytes: 0 }
    }

    /// So many bytes of the member came out.
    pub(super) fn came_out(&mut self, bytes: usize) {
        self.bytes = self.bytes.saturating_add(bytes as u64);
    }

    /// The member has ended. Fails if there are too many small ones.
    pub(super) fn ended(&mut self) -> io::Result<()> {
        if mem::take(&mut self.bytes) >= SMALL {
            return Ok(());
        }
        let too_many = || io::Error::new(ErrorKind::InvalidData, "too many members hold next to nothing");
        self.left = self.left.checked_sub(1).ok_or_else(too_many)?;
        Ok(())
    }
}

/// The decoder of one member.
pub(super) trait Member: Read + Sized {
    type Packed: BufRead;

    fn begin(packed: Self::Packed) -> Self;

    /// What follows the member, once it was read to its end.
    fn into_packed(self) -> Self::Packed;

    /// Skips what may stand behind a member. Returns whether other bytes follow.
    fn follows(packed: &mut Self::Packed) -> io::Result<bool>;
}

/// Reads all members of a file.
pub(super) struct Members<M> {
    /// None after the end.
    current: Option<M>,
    small: SmallMembers,
}

impl<M: Member> Members<M> {
    pub(super) fn new(packed: M::Packed) -> Self {
        Self { current: Some(M::begin(packed)), small: SmallMembers::default() }
    }
}

impl<M: Member> Read for Members<M> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while let Some(member) = &mut self.current {
            let read = member.read(buffer)?;
            self.small.came_out(read);
            if read > 0 || buffer.is_empty() {
                return Ok(read);
            }
            let Some(member) = self.current.take() else { break };
            self.small.ended()?;
            let mut packed = member.into_packed();
            if M::follows(&mut packed)? {
                self.current = Some(M::begin(packed));
            }
        }
        Ok(0)
    }
}

/// Tapes and some tools leave zeros behind a gzip file.
impl<R: BufRead> Member for GzDecoder<R> {
    type Packed = R;

    fn begin(packed: R) -> Self {
        Self::new(packed)
    }

    fn into_packed(self) -> R {
        self.into_inner()
    }

    fn follows(packed: &mut R) -> io::Result<bool> {
        skip_zeros(packed).map(|(_, follows)| follows)
    }
}

impl<R: BufRead> Member for BzDecoder<R> {
    type Packed = R;

    fn begin(packed: R) -> Self {
        Self::new(packed)
    }

    fn into_packed(self) -> R {
        self.into_inner()
    }

    fn follows(packed: &mut R) -> io::Result<bool> {
        Ok(!packed.fill_buf()?.is_empty())
    }
}

/// A stream of an xz file.
pub(super) struct XzMember<R: Read>(XzReader<Watched<R>>);

/// Ends a stream that is read in vain for too long.
struct Watched<R> {
    inner: R,
    /// The packed bytes that were read since the last byte came out.
    in_vain: u64,
}

impl<R: Read> Read for Watched<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.in_vain = self.in_vain.saturating_add(read as u64);
        if self.in_vain > MOST_IN_VAIN {
            return Err(io::Error::new(ErrorKind::InvalidData, "too many blocks hold nothing"));
        }
        Ok(read)
    }
}

impl<R: Read> Read for XzMember<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.0.read(buffer)?;
        if read > 0 {
            self.0.inner_mut().in_vain = 0;
        }
        Ok(read)
    }
}

impl<R: BufRead> Member for XzMember<R> {
    type Packed = R;

    fn begin(packed: R) -> Self {
        let packed = Watched { inner: packed, in_vain: 0 };
        Self(XzReader::new_mem_limit(packed, false, (MOST_MEMORY >> 10) as u32))
    }

    fn into_packed(self) -> R {
        self.0.into_inner().inner
    }

    fn follows(packed: &mut R) -> io::Result<bool> {
        let (zeros, follows) = skip_zeros(packed)?;
        if zeros % XZ_PADDING == 0 { Ok(follows) } else { Err(ErrorKind::InvalidData.into()) }
    }
}

/// Skips zeros. Returns how many there were, and whether other bytes follow.
fn skip_zeros(packed: &mut impl BufRead) -> io::Result<(u64, bool)> {
    let mut skipped = 0_u64;
    loop {
        let ahead = packed.fill_buf()?;
        let zeros = ahead.iter().take_while(|byte| **byte == 0).count();
        let (is_end, is_other) = (ahead.is_empty(), zeros < ahead.len());
        packed.consume(zeros);
        skipped = skipped.saturating_add(zeros as u64);
        if is_end || is_other {
            return Ok((skipped, is_other));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::write::GzEncoder;
    use lzma_rust2::{XzOptions, XzWriter};

    use super::{super::Packing, *};

    fn gzip(text: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    fn bzip2(text: &[u8]) -> Vec<u8> {
        let mut packed = Vec::new();
        bzip2::read::BzEncoder::new(text, bzip2::Compression::fast()).read_to_end(&mut packed).unwrap();
        packed
    }

    fn xz(text: &[u8]) -> Vec<u8> {
        let mut encoder = XzWriter::new(Vec::new(), XzOptions::with_preset(1)).unwrap();
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    /// What `packed` holds, with at most two small members.
    fn unpacked<'p, M: Member<Packed = &'p [u8]>>(packed: &'p [u8]) -> io::Result<Vec<u8>> {
        let mut members = Members { current: Some(M::begin(packed)), small: SmallMembers::up_to(2) };
        let mut text = Vec::new();
        members.read_to_end(&mut text)?;
        Ok(text)
    }

    #[test]
    fn only_some_members_may_hold_next_to_nothing() {
        type Unpacked = fn(&[u8]) -> io::Result<Vec<u8>>;
        type Pack = fn(&[u8]) -> Vec<u8>;
        let packings: [(Pack, Unpacked); 3] = [
            (gzip, |packed| unpacked::<GzDecoder<&[u8]>>(packed)),
            (bzip2, |packed| unpacked::<BzDecoder<&[u8]>>(packed)),
            (xz, |packed| unpacked::<XzMember<&[u8]>>(packed)),
        ];
        let text = [b'a'; 100];
        for (number, (pack, unpacked)) in packings.into_iter().enumerate() {
            let (large, small, empty) = (pack(&text), pack(b"b"), pack(b""));
            let file = [&*large, &*small, &*large, &*empty, &*large].concat();
            let held = unpacked(&file).unwrap();
            assert_eq!(held, [&text[..], &b"b"[..], &text[..], &text[..]].concat(), "{number}");
            let error = unpacked(&[&*file, &*empty].concat()).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidData, "{number}");
        }
    }

    #[test]
    fn a_bzip2_file_may_begin_with_an_empty_stream() {
        let file = [bzip2(b""), bzip2(b"a")].concat();
        assert_eq!(Packing::sniff(&file), Some(Packing::Bzip2));
        assert_eq!(unpacked::<BzDecoder<&[u8]>>(&file).unwrap(), b"a");
    }

    #[test]
    fn zeros_stand_behind_some_members() {
        let (gzip, bzip2, xz) = (gzip(b"a"), bzip2(b"a"), xz(b"a"));
        let padded = |packed: &[u8], zeros: usize| [packed, &vec![0; zeros], packed].concat();
        assert_eq!(unpacked::<GzDecoder<&[u8]>>(&padded(&gzip, 3)).unwrap(), b"aa");
        assert_eq!(unpacked::<XzMember<&[u8]>>(&padded(&xz, 8)).unwrap(), b"aa");
        assert!(unpacked::<XzMember<&[u8]>>(&padded(&xz, 3)).is_err());
        assert!(unpacked::<BzDecoder<&[u8]>>(&padded(&bzip2, 4)).is_err());
    }

    #[test]
    fn a_stream_is_not_read_in_vain_for_long() {
        let mut watched = Watched { inner: io::repeat(0), in_vain: 0 };
        let mut buffer = vec![0; 1 << 20];
        for _ in 0..MOST_IN_VAIN >> 20 {
            assert_eq!(watched.read(&mut buffer).unwrap(), buffer.len());
        }
        assert_eq!(watched.read(&mut buffer).unwrap_err().kind(), ErrorKind::InvalidData);
    }
}
