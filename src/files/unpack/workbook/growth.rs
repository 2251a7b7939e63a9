//! The limit on what comes out of a workbook: of all its parts, and each time that one is read. A small file can hold
//! gigabytes of XML without a cell, and list them as any number of sheets.

use std::{
    cell::Cell,
    io::{self, ErrorKind, Read},
    rc::Rc,
};

use super::super::{Packing, UnpackError, decoders::PackedSource, sink::most_unpacked};

/// How many bytes may still come out of a workbook.
#[derive(Debug)]
pub(super) struct Growth {
    left: Cell<u64>,
    is_exceeded: Cell<bool>,
}

impl Growth {
    /// The limit for a workbook of so many bytes.
    pub(super) fn of_packed(bytes: u64) -> Self {
        Self::up_to(most_unpacked(bytes))
    }

    fn up_to(whole: u64) -> Self {
        Self { left: Cell::new(whole), is_exceeded: Cell::new(false) }
    }

    /// Why no more is read, if it is because of the limit.
    pub(super) fn failure(&self) -> Option<UnpackError> {
        self.is_exceeded.get().then(Self::error)
    }

    fn error() -> UnpackError {
        UnpackError::Bomb { packing: Packing::Zip }
    }

    fn take(&self, bytes: u64) -> Result<(), ()> {
        match self.left.get().checked_sub(bytes) {
            Some(left) => {
                self.left.set(left);
                Ok(())
            }
            None => {
                self.is_exceeded.set(true);
                Err(())
            }
        }
    }
}

/// Counts what comes out of a part, and stops once its receiver has gone. Checking where packed bytes are read is not
/// enough, because a few of those can hold very much.
pub(super) struct Metered<R> {
    inner: R,
    growth: Rc<Growth>,
    source: PackedSource,
}

impl<R> Metered<R> {
    pub(super) fn new(inner: R, growth: Rc<Growth>, source: PackedSource) -> Self {
        Self { inner, growth, source }
    }
}

impl<R: Read> Read for Metered<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.source.is_stopped() {
            return Err(ErrorKind::BrokenPipe.into());
        }
        let read = self.inner.read(buffer)?;
        let taken = self.growth.take(read as u64);
        taken.map_err(|()| io::Error::new(ErrorKind::InvalidData, "a workbook grows too much"))?;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc;

    use super::*;

    #[test]
    fn what_comes_out_of_all_parts_is_counted() {
        let (send, _receive) = mpsc::channel(1);
        let source = PackedSource::new(send);
        let growth = Rc::new(Growth::up_to(100));
        let read = |bytes: usize| {
            Metered::new(io::repeat(0), Rc::clone(&growth), source.another()).read(&mut vec![0; bytes])
        };
        assert_eq!(read(60).unwrap(), 60);
        assert_eq!(read(40).unwrap(), 40);
        assert!(growth.failure().is_none());
        assert!(read(1).is_err());
        assert!(matches!(growth.failure(), Some(UnpackError::Bomb { packing: Packing::Zip })));
    }

    #[test]
    fn the_limit_follows_the_packed_size() {
        let mib = 1 << 20;
        assert_eq!(Growth::of_packed(1).left.get(), 256 * mib);
        assert_eq!(Growth::of_packed(50 * mib).left.get(), 100_000 * mib);
        assert_eq!(Growth::of_packed(u64::MAX).left.get(), u64::MAX);
    }

    #[test]
    fn a_part_that_nobody_waits_for_is_read_no_further() {
        let (send, receive) = mpsc::channel(1);
        let source = PackedSource::new(send);
        let growth = Rc::new(Growth::up_to(100));
        let mut part = Metered::new(io::repeat(0), Rc::clone(&growth), source.another());
        assert_eq!(part.read(&mut [0; 10]).unwrap(), 10);
        drop(receive);
        assert!(part.read(&mut [0; 10]).is_err());
        assert!(growth.failure().is_none());
        assert!(matches!(source.failure(), Some(UnpackError::Stopped)));
    }
}
