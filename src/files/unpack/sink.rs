//! Passes unpacked bytes in blocks to the task that stores them, within limits.

use std::{
    io::{ErrorKind, Read},
    mem,
    sync::Arc,
};

use bytes::Bytes;
use tokio::{runtime::Handle, sync::mpsc};

use super::{Packing, UnpackError, decoders::PackedSource, memory::MemoryPermit, state::UnpackingState};

/// The bytes of a block.
pub(super) const BLOCK: usize = 256 << 10;

/// The blocks that wait to be stored.
pub(super) const BLOCKS_AHEAD: usize = 2;

/// The most that a file may grow, as a factor. gzip reaches 1,032 with any repeated text, so only the other
/// packings can exceed this.
pub(super) const MOST_GROWTH: u64 = 2_000;

/// Growth is not limited below this many bytes: small tables of equal rows shrink to almost nothing.
const GROWTH_FROM: u64 = 256 << 20;

/// How much may come out of a file whose decoder remembers it without large memory.
const SMALL: u64 = 8 << 20;

/// The most bytes that may come out of so many packed ones.
pub(super) fn most_unpacked(packed: u64) -> u64 {
    packed.saturating_mul(MOST_GROWTH).max(GROWTH_FROM)
}

/// Takes what is unpacked.
#[derive(Debug)]
pub(super) struct Sink {
    packing: Packing,
    /// The most bytes of the unpacked file.
    limit: u64,
    send: mpsc::Sender<Bytes>,
    state: Arc<UnpackingState>,
    written: u64,
    /// Bytes that were written and not sent yet.
    block: Vec<u8>,
}

/// Ends the wait for the sheets of a file that is no longer being unpacked.
impl Drop for Sink {
    fn drop(&mut self) {
        self.state.set_sheets(None);
    }
}

impl Sink {
    pub(super) fn new(
        packing: Packing,
        limit: u64,
        send: mpsc::Sender<Bytes>,
        state: Arc<UnpackingState>,
    ) -> Self {
        Self { packing, limit, send, state, written: 0, block: Vec::new() }
    }

    /// Sends all bytes of `unpacked`, which is decoded from `source`. If its decoder remembers much of what came out,
    /// it waits for large memory before that takes much.
    pub(super) fn fill(
        mut self,
        unpacked: &mut dyn Read,
        source: &PackedSource,
        remembers_much: bool,
    ) -> Result<(), UnpackError> {
        let mut memory = None;
        loop {
            if remembers_much && memory.is_none() && self.written >= SMALL {
                memory = Some(self.large_memory()?);
            }
            let mut block = vec![0; BLOCK];
            let mut filled = 0;
            while filled < BLOCK {
                match unpacked.read(&mut block[filled..]) {
                    Ok(0) => break,
                    Ok(read) => filled += read,
                    Err(error) if error.kind() == ErrorKind::Interrupted => {}
                    Err(error) => return Err(source.explain(self.packing, error)),
                }
            }
            if filled == 0 {
                return Ok(());
            }
            block.truncate(filled);
            self.state.set_packed_bytes(source.bytes());
            self.send(block, source.bytes())?;
        }
    }

    /// Waits for large memory. Blocks.
    pub(super) fn large_memory(&self) -> Result<MemoryPermit, UnpackError> {
        let given = self.state.memory.ask();
        Handle::current().block_on(async {
            tokio::select! {
                given = given => given.map_err(|_| UnpackError::Stopped),
                () = self.send.closed() => Err(UnpackError::Stopped),
            }
        })
    }

    /// Where what is learned of the file is told.
    pub(super) fn state(&self) -> &UnpackingState {
        &self.state
    }

    /// The most bytes of the unpacked file.
    pub(super) fn limit(&self) -> u64 {
        self.limit
    }

    /// A packed file whose unpacked bytes go here.
    pub(super) fn source(&self) -> PackedSource {
        PackedSource::new(self.send.clone())
    }

    /// Sends `bytes`, in blocks. `read` bytes of the packed file have been read so far.
    pub(super) fn write(&mut self, bytes: &[u8], read: u64) -> Result<(), UnpackError> {
        self.block.extend_from_slice(bytes);
        if self.block.len() < BLOCK {
            return Ok(());
        }
        let block = mem::take(&mut self.block);
        self.send(block, read)
    }

    /// Sends what was written last.
    pub(super) fn finish(mut self) -> Result<(), UnpackError> {
        let block = mem::take(&mut self.block);
        if block.is_empty() { Ok(()) } else { self.send(block, u64::MAX) }
    }

    /// Sends `block`. `read` bytes of the packed file have been read so far.
    fn send(&mut self, block: Vec<u8>, read: u64) -> Result<(), UnpackError> {
        self.written = self.written.saturating_add(block.len() as u64);
        let (packing, limit) = (self.packing, self.limit);
        if self.written > limit {
            return Err(UnpackError::TooLarge { packing, limit });
        }
        if self.written > GROWTH_FROM && self.written / MOST_GROWTH > read {
            return Err(UnpackError::Bomb { packing });
        }
        self.send.blocking_send(block.into()).map_err(|_| UnpackError::Stopped)
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufReader, Write};

    use flate2::{Compression, write::GzEncoder};

    use super::{super::decoders, *};

    #[tokio::test]
    async fn a_large_file_whose_decoder_remembers_it_holds_large_memory_to_its_end() {
        let (send, mut receive) = mpsc::channel(BLOCKS_AHEAD);
        let length = 2 * SMALL;
        let state = Arc::new(UnpackingState::default());
        let of_sink = Arc::clone(&state);
        let work = tokio::task::spawn_blocking(move || {
            let sink = Sink::new(Packing::Xz, u64::MAX, send, of_sink);
            let source = sink.source();
            sink.fill(&mut std::io::repeat(b'a').take(length), &source, true)
        });
        let mut came_out = 0;
        while came_out < SMALL {
            came_out += receive.recv().await.expect("a block").len() as u64;
        }
        let permit = Arc::new(());
        state.memory.next().await.give(Box::new(Arc::clone(&permit)));
        came_out += receive.recv().await.expect("a block").len() as u64;
        assert_eq!(Arc::strong_count(&permit), 2, "it is held while more comes out");
        while let Some(block) = receive.recv().await {
            came_out += block.len() as u64;
        }
        work.await.unwrap().unwrap();
        assert_eq!((came_out, Arc::strong_count(&permit)), (length, 1));
    }

    #[tokio::test]
    async fn a_file_that_nobody_waits_for_does_not_wait_for_large_memory() {
        let (send, mut receive) = mpsc::channel(BLOCKS_AHEAD);
        let state = Arc::new(UnpackingState::default());
        let of_sink = Arc::clone(&state);
        let work = tokio::task::spawn_blocking(move || {
            let sink = Sink::new(Packing::Xz, u64::MAX, send, of_sink);
            let source = sink.source();
            sink.fill(&mut std::io::repeat(b'a'), &source, true)
        });
        let mut came_out = 0;
        while came_out < SMALL {
            came_out += receive.recv().await.expect("a block").len() as u64;
        }
        let _asked = state.memory.next().await;
        drop(receive);
        assert!(matches!(work.await.unwrap(), Err(UnpackError::Stopped)));
    }

    #[test]
    fn a_file_that_nobody_waits_for_is_not_read_to_its_end() {
        // A packed file without content, which sends no block.
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.flush().unwrap();
        let packed = encoder.finish().unwrap().repeat(100);
        for is_wanted in [true, false] {
            let (send, receive) = mpsc::channel(BLOCKS_AHEAD);
            let receive = is_wanted.then_some(receive);
            let sink = Sink::new(Packing::Gzip, u64::MAX, send, Arc::default());
            let source = sink.source();
            let mut unpacked =
                decoders::reader(Packing::Gzip, BufReader::new(source.count(packed.as_slice())));
            match sink.fill(&mut *unpacked, &source, false) {
                Ok(()) => assert!(is_wanted),
                Err(error) => assert!(!is_wanted && matches!(error, UnpackError::Stopped), "{error}"),
            }
            assert_eq!(source.bytes() > 0, is_wanted);
            drop(receive);
        }
    }
}
