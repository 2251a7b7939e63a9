//! Writes an object in parts, with constant memory use.

use std::{io, mem, sync::Arc};

use bytes::Bytes;
use object_store::{multipart::PartId, path::Path};
use tokio::task::JoinHandle;

use super::{ObjectStorage, away};

/// The bytes of a part. S3 takes at most 10,000 parts, each of 5 MiB or more but the last. Beyond 26 GB parts are
/// larger, so that an object may have 190 GB; but no larger, because one request sends a part.
const PART: usize = 5 << 20;
const LARGE_PART: usize = 32 << 20;
const LARGE_FROM: usize = 5_000;

/// An object that is being written. It comes to exist when it is finished, and is deleted if it is dropped before it
/// is kept.
#[derive(Debug)]
pub(in crate::files) struct ObjectWriter {
    objects: Arc<ObjectStorage>,
    path: Path,
    /// The bytes behind those of the parts.
    buffer: Vec<u8>,
    written: u64,
    /// The object will have so many of the written bytes.
    wanted: u64,
    /// Goes on if the writer is dropped meanwhile, so that the upload is not lost.
    beginning: Option<JoinHandle<io::Result<UnfinishedUpload>>>,
    parts: Option<PartsSent>,
    /// The part in which the wanted bytes end, if it was sent, and those bytes of it.
    cut: Option<(usize, Bytes)>,
    /// A part of the bytes may be missing.
    is_broken: bool,
    may_exist: bool,
    is_kept: bool,
}

/// An upload in parts.
#[derive(Debug)]
struct PartsSent {
    upload: UnfinishedUpload,
    stored: Vec<PartId>,
    sending: Option<JoinHandle<io::Result<PartId>>>,
    /// A part failed, but may have reached the server, or reach it yet.
    is_in_doubt: bool,
}

/// An upload in parts that the server knows.
#[derive(Clone, Debug)]
pub(super) struct UnfinishedUpload {
    pub path: Path,
    pub id: String,
    /// The object that says so. A sweep finds it if this process is killed.
    pub note: Path,
}

impl ObjectWriter {
    pub(super) fn new(objects: Arc<ObjectStorage>, path: Path) -> Self {
        Self {
            objects,
            path,
            buffer: Vec::new(),
            written: 0,
            wanted: 0,
            beginning: None,
            parts: None,
            cut: None,
            is_broken: false,
            may_exist: false,
            is_kept: false,
        }
    }

    pub(in crate::files) fn path(&self) -> &Path {
        &self.path
    }

    /// Appends `bytes`. After an error, or if it is dropped, the object cannot be finished.
    pub(in crate::files) async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.begin_change()?;
        self.append(bytes).await?;
        self.is_broken = false;
        Ok(())
    }

    /// Counts as broken until the change is made.
    fn begin_change(&mut self) -> io::Result<()> {
        match mem::replace(&mut self.is_broken, true) {
            true => Err(away("a part of the object was not stored")),
            false => Ok(()),
        }
    }

    async fn append(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let room = self.part_bytes() - self.buffer.len();
            let (now, rest) = bytes.split_at(room.min(bytes.len()));
            if self.buffer.capacity() < self.buffer.len() + now.len() {
                // Doubles, but not beyond the part.
                self.buffer.reserve_exact(now.len().max(self.buffer.capacity().min(room)));
            }
            self.buffer.extend_from_slice(now);
            self.written += now.len() as u64;
            bytes = rest;
            if now.len() == room {
                self.send_part().await?;
            }
        }
        Ok(())
    }

    /// The object will have what is written so far, even if more is written behind it.
    pub(in crate::files) fn finish_here(&mut self) {
        (self.wanted, self.cut) = (self.written, None);
    }

    fn part_bytes(&self) -> usize {
        let begun = self.parts.as_ref().map_or(0, |parts| parts.stored.len());
        if begun < LARGE_FROM { PART } else { LARGE_PART }
    }

    /// Sends the buffer as the next part, while the one after it is gathered.
    async fn send_part(&mut self) -> io::Result<()> {
        let bytes = Bytes::from(mem::take(&mut self.buffer));
        let begins_at = self.written - bytes.len() as u64;
        if self.parts.is_none() {
            let (objects, path) = (Arc::clone(&self.objects), self.path.clone());
            let begin = async move { objects.begin(&path).await };
            let begun = self.beginning.insert(self.objects.runtime.spawn(begin)).await;
            self.beginning = None;
            let upload = begun.map_err(io::Error::other)??;
            self.parts = Some(PartsSent { upload, stored: Vec::new(), sending: None, is_in_doubt: false });
        }
        let Some(parts) = &mut self.parts else { return Ok(()) };
        parts.wait().await?;
        let index = parts.stored.len();
        if self.wanted < self.written && self.cut.is_none() {
            let wanted = usize::try_from(self.wanted.saturating_sub(begins_at)).unwrap_or(usize::MAX);
            self.cut = Some((index, bytes.slice(..wanted.min(bytes.len()))));
        }
        parts.send(&self.objects, bytes);
        Ok(())
    }

    /// Makes the bytes in front of the last [`finish_here`](Self::finish_here) an object.
    pub(in crate::files) async fn finish(&mut self) -> io::Result<()> {
        self.begin_change()?;
        if let Some(parts) = &mut self.parts {
            parts.wait().await?;
            if let Some((index, bytes)) = self.cut.take() {
                parts.stored.truncate(index);
                self.buffer = bytes.into();
                self.written = self.wanted;
            }
        }
        let unwanted = usize::try_from(self.written - self.wanted).unwrap_or(usize::MAX);
        self.buffer.truncate(self.buffer.len().saturating_sub(unwanted));
        let rest = Bytes::from(mem::take(&mut self.buffer));
        self.may_exist = true;
        match &mut self.parts {
            None => self.objects.bucket.put(&self.path, rest).await?,
            Some(parts) => {
                if !rest.is_empty() {
                    parts.send(&self.objects, rest);
                    parts.wait().await?;
                }
                let stored = mem::take(&mut parts.stored);
                self.objects.complete(&parts.upload, stored, self.wanted).await?;
            }
        }
        self.parts = None;
        Ok(())
    }

    /// The finished object stays.
    pub(in crate::files) fn keep(&mut self) {
        self.is_kept = true;
    }
}

impl PartsSent {
    /// Begins to send the next part. The one before it must be stored. Goes on if the writer is dropped meanwhile.
    fn send(&mut self, objects: &Arc<ObjectStorage>, bytes: Bytes) {
        let (index, upload, on) = (self.stored.len(), self.upload.clone(), Arc::clone(objects));
        let send = async move { on.bucket.put_part(&upload.path, &upload.id, index, bytes).await };
        self.sending = Some(objects.runtime.spawn(send));
    }

    /// Waits until the last part is stored. After an error the upload cannot be completed.
    async fn wait(&mut self) -> io::Result<()> {
        if let Some(sending) = &mut self.sending {
            let stored = sending.await.map_err(io::Error::other).flatten();
            self.sending = None;
            self.is_in_doubt = stored.is_err();
            self.stored.push(stored?);
        }
        Ok(())
    }

    /// Deletes what was sent.
    async fn abandon(mut self, objects: &ObjectStorage) {
        // A part that arrives later would stay.
        let _ = self.wait().await;
        if self.is_in_doubt {
            objects.abort_for_now(&self.upload).await;
        } else {
            objects.abandon(&self.upload).await;
        }
    }
}

impl Drop for ObjectWriter {
    fn drop(&mut self) {
        let (beginning, parts, may_exist) = (self.beginning.take(), self.parts.take(), self.may_exist);
        if self.is_kept || (beginning.is_none() && parts.is_none() && !may_exist) {
            return;
        }
        let (objects, path) = (Arc::clone(&self.objects), self.path.clone());
        self.objects.runtime.spawn(async move {
            if let Some(beginning) = beginning
                && let Ok(Ok(upload)) = beginning.await
            {
                objects.abandon(&upload).await;
            }
            if let Some(parts) = parts {
                parts.abandon(&objects).await;
            }
            if may_exist {
                objects.delete_unwanted(&path).await;
            }
        });
    }
}
