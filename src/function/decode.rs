//! The step that decodes a file that is not UTF-8: copies it to storage as UTF-8, where records can be found from
//! any offset, and where every later step and attempt reads the same bytes.

use std::io;

use super::{Processor, chain, failure::FailureReason, plan::open};
use crate::{
    base::{
        ids::{EventId, RunId},
        time::UnixMillis,
    },
    csv::{AboutFile, Encoding, Part, ToUtf8},
    files::{Incoming, Key, StoredFile},
    progress::{Copying, Receiving, RunProgress},
    store::{quota::Reservation, steps::Step},
};

/// How many bytes are decoded at once.
const BLOCK: u64 = 1 << 20;

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
        let progress = self.progress.of(run);
        self.copy(run, chain::DECODE, position, self.decoded((run, event), source, encoding, &progress)).await
    }

    /// Leaves no file if it is dropped before its end.
    async fn decoded(
        &self,
        of: (&RunId, &EventId),
        source: &Key,
        FileEncoding { named, found }: FileEncoding,
        progress: &RunProgress,
    ) -> Result<(Incoming, Option<Reservation>, AboutFile), FailureReason> {
        let named = named.map(Part::certain);
        for encoding in named.into_iter().chain([found]) {
            let is_last_choice = named != Some(encoding);
            if let Some((file, reservation)) =
                self.decoded_as(of, source, (encoding.value, is_last_choice), progress).await?
            {
                let about = AboutFile { encoding: Some(encoding), ..AboutFile::default() };
                return Ok((file, reservation, about));
            }
        }
        Err(FailureReason::FileGone)
    }

    /// Decodes `source` within the user's quota. Bytes that `encoding` cannot decode are escaped if they are
    /// `allowed`; otherwise the result is None.
    async fn decoded_as(
        &self,
        (run, event): (&RunId, &EventId),
        source: &Key,
        (encoding, allowed): (Encoding, bool),
        progress: &RunProgress,
    ) -> Result<Option<(Incoming, Option<Reservation>)>, FailureReason> {
        let mut reservation = self.quota.reserve_for(event).await?.map_err(FailureReason::OverQuota)?;
        let (storage, key) = (self.storage.clone(), source.clone());
        let mut decoding = tokio::task::spawn_blocking(move || {
            Ok::<_, FailureReason>(Decoding::begin(open(&storage, &key)?, encoding))
        })
        .await??;
        let mut file = self.storage.receive(Key::output(run), decoding.size).await?;
        let since = UnixMillis::now();
        // One is written while the other is filled.
        let (mut text, mut spare) = (Vec::new(), Vec::new());
        while !decoding.is_over || !text.is_empty() {
            let (bytes, total) = (decoding.read, Some(decoding.size));
            progress.set_receiving(Some(Receiving { copying: Copying::Decoding, bytes, total, since }));
            // Another core decodes the next block while this one is written.
            let next =
                tokio::task::spawn_blocking(move || decoding.next(&mut spare).map(|()| (decoding, spare)));
            let write = async {
                if let Some(reservation) = &mut reservation {
                    reservation.take(text.len() as u64).map_err(FailureReason::OverQuota)?;
                }
                Ok::<_, FailureReason>(file.write(&text).await?)
            };
            let (next, ()) = tokio::try_join!(async { Ok(next.await?) }, write)?;
            spare = text;
            (decoding, text) = next?;
            if !allowed && decoding.decoder.has_escaped() {
                return Ok(None);
            }
        }
        Ok(Some((file, reservation)))
    }
}

/// A file that is being decoded.
struct Decoding {
    file: StoredFile,
    size: u64,
    /// Bytes of it.
    read: u64,
    decoder: ToUtf8,
    bytes: Vec<u8>,
    /// The whole file was read.
    is_over: bool,
}

impl Decoding {
    fn begin(file: StoredFile, encoding: Encoding) -> Self {
        let (size, decoder) = (file.length(), ToUtf8::new(encoding));
        Self { file, size, read: 0, decoder, bytes: Vec::new(), is_over: false }
    }

    /// Decodes the next block into `text`. It is empty after the one in which the file is over. Blocks.
    fn next(&mut self, text: &mut Vec<u8>) -> io::Result<()> {
        text.clear();
        if self.is_over {
            return Ok(());
        }
        self.bytes.clear();
        self.file.append_to(&mut self.bytes, BLOCK)?;
        self.is_over = self.bytes.is_empty();
        self.read = self.read.saturating_add(self.bytes.len() as u64);
        self.decoder.decode(&self.bytes, self.is_over, text);
        Ok(())
    }
}
