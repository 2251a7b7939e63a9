//! Stored files that are read by blocking code.

use std::{
    fs::File,
    io::{self, Cursor, Read, Seek, SeekFrom, Write},
    sync::Arc,
};

use bytes::{Buf, Bytes};

use super::objects::{ObjectReader, ObjectStorage};

/// How many bytes are copied to the local disk at once.
const COPIED_AT_ONCE: u64 = 1 << 20;

/// A stored file that is open for reading, or bytes that are read like one. Reading blocks.
#[derive(Debug)]
pub struct StoredFile {
    length: u64,
    source: FileSource,
}

#[derive(Debug)]
enum FileSource {
    Local(File),
    Memory(Cursor<Bytes>),
    Object(Box<OpenObject>),
}

#[derive(Debug)]
struct OpenObject {
    objects: Arc<ObjectStorage>,
    reader: ObjectReader,
    /// What was read of it and not taken.
    block: Bytes,
    /// Where the block begins.
    at: u64,
}

impl StoredFile {
    pub(super) fn of_file(file: File) -> io::Result<Self> {
        Ok(Self { length: file.metadata()?.len(), source: FileSource::Local(file) })
    }

    /// `reader` begins at the front of the object, which has `length` bytes.
    pub(super) fn of_object(objects: Arc<ObjectStorage>, reader: ObjectReader, length: u64) -> Self {
        let object = OpenObject { objects, reader, block: Bytes::new(), at: 0 };
        Self { length, source: FileSource::Object(Box::new(object)) }
    }

    #[must_use]
    pub fn of_bytes(bytes: Bytes) -> Self {
        Self { length: bytes.len() as u64, source: FileSource::Memory(Cursor::new(bytes)) }
    }

    /// In bytes. A stored file never changes.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.length
    }

    /// A file of the local disk with the same bytes, to be read in any order: this one, or a copy in `temporary`, which
    /// is given the size. None if it `is_unwanted` before it is copied.
    pub(super) fn into_local(
        mut self,
        temporary: impl FnOnce(u64) -> io::Result<File>,
        is_unwanted: impl Fn() -> bool,
    ) -> io::Result<Option<File>> {
        let mut copy = match self.source {
            FileSource::Local(mut file) => {
                file.rewind()?;
                return Ok(Some(file));
            }
            FileSource::Memory(_) | FileSource::Object(_) => temporary(self.length)?,
        };
        self.rewind()?;
        let mut block = Vec::new();
        while self.append_to(&mut block, COPIED_AT_ONCE)? > 0 {
            if is_unwanted() {
                return Ok(None);
            }
            copy.write_all(&block)?;
            block.clear();
        }
        copy.rewind()?;
        Ok(Some(copy))
    }

    /// Appends the next `length` bytes to `buffer`, fewer at the end of the file. Returns how many.
    pub fn append_to(&mut self, buffer: &mut Vec<u8>, length: u64) -> io::Result<usize> {
        match &mut self.source {
            // Without clearing the buffer's memory first, as for a reader that the library does not know.
            FileSource::Local(file) => file.take(length).read_to_end(buffer),
            FileSource::Memory(_) | FileSource::Object(_) => self.take(length).read_to_end(buffer),
        }
    }
}

impl Read for StoredFile {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match &mut self.source {
            FileSource::Local(file) => file.read(buffer),
            FileSource::Memory(bytes) => bytes.read(buffer),
            FileSource::Object(object) => object.read(buffer),
        }
    }
}

impl Seek for StoredFile {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        match &mut self.source {
            FileSource::Local(file) => file.seek(to),
            FileSource::Memory(bytes) => bytes.seek(to),
            FileSource::Object(object) => {
                let place = match to {
                    SeekFrom::Start(at) => Some(at),
                    SeekFrom::Current(by) => object.at.checked_add_signed(by),
                    SeekFrom::End(by) => self.length.checked_add_signed(by),
                };
                let at = place.ok_or(io::ErrorKind::InvalidInput)?;
                object.go_to(at, self.length);
                Ok(at)
            }
        }
    }
}

impl OpenObject {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        if self.block.is_empty() {
            self.block = self.objects.wait_for(self.reader.next())?;
        }
        let most = self.block.len().min(buffer.len());
        self.block.copy_to_slice(&mut buffer[..most]);
        self.at += most as u64;
        Ok(most)
    }

    fn go_to(&mut self, at: u64, length: u64) {
        match at.checked_sub(self.at).and_then(|by| usize::try_from(by).ok()) {
            Some(by) if by < self.block.len() || by == 0 => self.block.advance(by),
            _ => {
                self.block = Bytes::new();
                self.reader.restart(at.min(length)..length);
            }
        }
        self.at = at;
    }
}
