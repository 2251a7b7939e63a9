//! Files that a run writes.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::PathBuf,
    sync::Arc,
};

use super::{
    Key, Storage,
    early_sync::EarlySync,
    folder::sync_folder,
    objects::{ObjectStorage, ObjectWriter},
    storage::Place,
};
use crate::base::ids::RunId;

/// An output that is being written. It is deleted if it is dropped before it is kept.
#[derive(Debug)]
pub struct OutputFile {
    storage: Storage,
    key: Key,
    sink: OutputSink,
    length: u64,
    finished: u64,
    is_kept: bool,
}

#[derive(Debug)]
enum OutputSink {
    Local(LocalOutput),
    Object(Arc<ObjectStorage>, Box<ObjectWriter>),
}

#[derive(Debug)]
struct LocalOutput {
    path: PathBuf,
    file: File,
    sync: EarlySync,
}

impl Storage {
    /// Creates an empty output of `run`. Blocks. Neither this nor what is done with the output may be called by a task.
    pub fn create_output(&self, run: &RunId) -> io::Result<OutputFile> {
        OutputFile::create(self.clone(), Key::output(run))
    }
}

impl OutputFile {
    fn create(storage: Storage, key: Key) -> io::Result<Self> {
        storage.pending.begin(&key);
        let sink = match &storage.place {
            Place::Local(local) => {
                let path = local.path(&key);
                File::create_new(&path)
                    .map(|file| OutputSink::Local(LocalOutput { path, file, sync: EarlySync::default() }))
            }
            Place::Objects(objects) => {
                Ok(OutputSink::Object(Arc::clone(objects), Box::new(objects.write(&key))))
            }
        };
        match sink {
            Ok(sink) => Ok(Self { storage, key, sink, length: 0, finished: 0, is_kept: false }),
            Err(error) => {
                storage.settled(&key);
                Err(error)
            }
        }
    }

    /// Appends `bytes`; best called with large blocks. After an error some of them may have been written.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match &mut self.sink {
            OutputSink::Local(output) => output.write(bytes, self.length + bytes.len() as u64)?,
            OutputSink::Object(objects, writer) => objects.wait_for(writer.write(bytes))?,
        }
        self.length += bytes.len() as u64;
        Ok(())
    }

    /// Everything written so far is finished. Only what is finished is kept.
    pub fn finish_here(&mut self) {
        self.finished = self.length;
        if let OutputSink::Object(_, writer) = &mut self.sink {
            writer.finish_here();
        }
    }

    /// The number of bytes that are finished.
    #[must_use]
    pub fn finished(&self) -> u64 {
        self.finished
    }

    /// Makes the finished bytes survive a power failure, and drops those behind them. Nothing can be written after
    /// that. A file without finished bytes is not to be kept.
    pub fn finish(&mut self) -> io::Result<()> {
        match &mut self.sink {
            OutputSink::Local(output) => output.finish(self.finished),
            OutputSink::Object(objects, writer) => objects.wait_for(writer.finish()),
        }
    }

    /// Keeps the file, which must be finished, until its key is removed. Call [`Storage::settled`] once a row names
    /// it.
    #[must_use]
    pub fn keep(mut self) -> Key {
        self.is_kept = true;
        if let OutputSink::Object(_, writer) = &mut self.sink {
            writer.keep();
        }
        self.key.clone()
    }
}

impl LocalOutput {
    /// After it the file has `length` bytes.
    fn write(&mut self, bytes: &[u8], length: u64) -> io::Result<()> {
        self.file.write_all(bytes)?;
        if self.sync.is_due(length) {
            self.sync.begin(self.file.try_clone()?, length)?;
        }
        Ok(())
    }

    fn finish(&mut self, length: u64) -> io::Result<()> {
        self.file.set_len(length)?;
        self.sync.wait()?;
        self.file.sync_data()?;
        sync_folder(&self.path)
    }
}

impl Drop for OutputFile {
    fn drop(&mut self) {
        if self.is_kept {
            return;
        }
        if let OutputSink::Local(output) = &self.sink
            && let Err(error) = fs::remove_file(&output.path)
        {
            // It is quarantined after the next start.
            tracing::warn!(%error, "cannot remove an unfinished output");
        }
        self.storage.settled(&self.key);
    }
}
