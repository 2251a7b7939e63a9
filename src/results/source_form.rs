//! An output in the form of the file that came in, as a stream.

use std::{
    collections::VecDeque,
    io::{self, Cursor, Read},
};

use bytes::Bytes;
use futures_util::{Stream, stream};

use super::outputs::Outputs;
use crate::{
    csv::SourceForm,
    files::{Key, Storage, StoredFile},
};

/// How many bytes are converted at once.
const BLOCK: u64 = 256 << 10;

/// Stored files that are read in order. Each is opened when it is needed.
struct Parts {
    storage: Storage,
    keys: VecDeque<Key>,
    open: Option<StoredFile>,
}

impl Parts {
    fn new(storage: &Storage, keys: Vec<Key>) -> Self {
        Self { storage: storage.clone(), keys: keys.into(), open: None }
    }
}

impl Read for Parts {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            if let Some(file) = &mut self.open {
                match file.read(buffer)? {
                    0 => self.open = None,
                    read => return Ok(read),
                }
            }
            let Some(key) = self.keys.pop_front() else { return Ok(0) };
            self.open = Some(self.storage.file(&key)?);
        }
    }
}

struct Converting {
    output: io::Chain<Cursor<Vec<u8>>, Parts>,
    form: SourceForm<Parts>,
    is_over: bool,
}

impl Converting {
    /// The next bytes, if there are more. Blocks.
    fn next(&mut self) -> io::Result<Option<Bytes>> {
        let (mut block, mut converted) = (Vec::new(), Vec::new());
        while converted.is_empty() && !self.is_over {
            block.clear();
            self.output.by_ref().take(BLOCK).read_to_end(&mut block)?;
            self.is_over = block.is_empty();
            self.form.convert(&block, self.is_over, &mut converted)?;
        }
        Ok((!converted.is_empty()).then(|| converted.into()))
    }
}

impl Outputs {
    /// The output in the separator and encoding of the file that came in.
    pub fn in_source_form(self, storage: &Storage) -> impl Stream<Item = io::Result<Bytes>> + use<> {
        let Self { header, parts, raw, dialect, encoding, .. } = self;
        let raw = raw.map(|raw| Parts::new(storage, raw));
        let converting = Converting {
            output: Cursor::new(header).chain(Parts::new(storage, parts)),
            form: SourceForm::new(dialect, encoding, raw),
            is_over: false,
        };
        stream::try_unfold(converting, |mut converting| async {
            let next = move || converting.next().map(|next| next.map(|bytes| (bytes, converting)));
            tokio::task::spawn_blocking(next).await.map_err(io::Error::other)?
        })
    }
}
