//! Saves the rows of an import as files.

use std::{
    fs::{self, File, OpenOptions},
    io::{Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

use reqwest::{
    StatusCode,
    header::{ETAG, HeaderMap, HeaderValue, IF_RANGE, RANGE},
};
use tokio::time::timeout;

use super::{
    error::{ClientError, MOST_TRIES},
    printed::{self, unusable},
    screen::Screen,
    server::RemoteServer,
    source::Source,
    told::ToldImport,
};
use crate::base::config::WaitArgs;

/// Which rows are saved where.
#[derive(Debug)]
pub struct Downloads {
    files: Vec<(&'static str, PathBuf)>,
}

impl Downloads {
    /// # Errors
    /// A file cannot be written, which is better known before the upload than after it.
    pub fn new(wait: &WaitArgs, imports: usize) -> Result<Self, ClientError> {
        let named =
            [("failed.csv", "--failed", &wait.failed), ("processed.csv", "--processed", &wait.processed)];
        let mut files: Vec<(&'static str, PathBuf)> = Vec::new();
        for (which, flag, path) in named {
            let Some(path) = path else { continue };
            let refuse = |why: &str| Err(ClientError::Other(format!("{flag} {}: {why}", path.display())));
            if path == Path::new("-") {
                return refuse("standard output has the result of the import. Name a file.");
            }
            if imports > 1 {
                return refuse(
                    "one file cannot have the rows of several imports. Import one source at a time.",
                );
            }
            let path = match fs::metadata(path) {
                Ok(there) if there.is_dir() => return refuse("this is a folder. Name a file in it."),
                // Renaming over it would replace the device.
                Ok(there) if !there.is_file() => return refuse("this is no ordinary file."),
                // The file itself, if this is a link to it.
                Ok(_) => fs::canonicalize(path).unwrap_or_else(|_| path.clone()),
                Err(_) if !folder_of(path).is_dir() => return refuse("there is no such folder."),
                Err(_) if path.file_name().is_none() => return refuse("this is no name of a file."),
                Err(_) => path.clone(),
            };
            if files.iter().any(|(_, other)| *other == path) {
                return refuse("the processed and the failed rows need a file each.");
            }
            files.push((which, path));
        }
        Ok(Self { files })
    }

    /// # Errors
    /// A source would be replaced by rows of it.
    pub fn spare(&self, sources: &[Source]) -> Result<(), ClientError> {
        for source in sources {
            let Source::File(path) = source else { continue };
            let Ok(path) = fs::canonicalize(path) else { continue };
            if self.files.iter().any(|(_, file)| fs::canonicalize(file).is_ok_and(|file| file == path)) {
                return Err(ClientError::Other(format!(
                    "{} is imported, and would be replaced by its rows. Name another file.",
                    source.shown()
                )));
            }
        }
        Ok(())
    }

    /// Saves the rows of an import that is over.
    pub async fn save(
        &self,
        import: &ToldImport,
        server: &RemoteServer,
        screen: &Screen,
    ) -> Result<(), ClientError> {
        for (which, path) in &self.files {
            let request = format!("imports/{}/{which}", import.id);
            match save(&request, path, server, screen).await {
                // What did not complete may have read no row, which its ending says already.
                Err(ClientError::Refused { status: StatusCode::NOT_FOUND, sentence, .. })
                    if import.import.state != "Completed" =>
                {
                    printed::complain(&format!("{}: {sentence}", path.display()));
                }
                saved => saved?,
            }
        }
        Ok(())
    }
}

/// The folder that a file is in.
fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Downloads a file, and continues where the connection broke off.
async fn save(request: &str, path: &Path, server: &RemoteServer, screen: &Screen) -> Result<(), ClientError> {
    let mut file = UnfinishedFile::beside(path)?;
    let (mut tag, mut failed) = (None, 0);
    loop {
        let before = file.bytes;
        let error = match go_on(&mut file, &mut tag, request, server).await {
            Ok(()) => return file.finish(),
            Err(error) => error,
        };
        failed = if file.bytes > before { 1 } else { failed + 1 };
        if failed >= MOST_TRIES || !error.is_passing() {
            return Err(error);
        }
        screen.lost(&error);
        server.rest(error.pause(failed)).await;
    }
}

/// Downloads what is not there yet. `tag` names the version of which the rest is wanted.
async fn go_on(
    file: &mut UnfinishedFile<'_>,
    tag: &mut Option<HeaderValue>,
    path: &str,
    server: &RemoteServer,
) -> Result<(), ClientError> {
    let mut headers = HeaderMap::new();
    if let Some(tag) = tag.as_ref().filter(|_| file.bytes > 0)
        && let Ok(rest) = HeaderValue::try_from(format!("bytes={}-", file.bytes))
    {
        headers.extend([(RANGE, rest), (IF_RANGE, tag.clone())]);
    }
    let mut response = server.send_for_file(path, headers).await?;
    if response.status() != StatusCode::PARTIAL_CONTENT {
        file.begin_again()?;
        *tag = response.headers().get(ETAG).cloned();
    }
    loop {
        let piece = timeout(server.times.silence, response.chunk()).await.map_err(|_| server.silent())?;
        let Some(piece) = piece.map_err(|_| server.broke_off())? else { return Ok(()) };
        file.write(&piece)?;
    }
}

/// A file that has another name until it is whole, and is removed if it never is.
struct UnfinishedFile<'p> {
    path: &'p Path,
    unfinished: PathBuf,
    file: File,
    bytes: u64,
    is_finished: bool,
}

impl<'p> UnfinishedFile<'p> {
    fn beside(path: &'p Path) -> Result<Self, ClientError> {
        let name = format!(".runboard-{}.part", hex::encode(rand::random::<[u8; 8]>()));
        let unfinished = folder_of(path).join(name);
        let file = OpenOptions::new().write(true).create_new(true).open(&unfinished);
        let file = file.map_err(|error| unusable(path, "written", &error))?;
        Ok(Self { path, unfinished, file, bytes: 0, is_finished: false })
    }

    fn begin_again(&mut self) -> Result<(), ClientError> {
        let emptied = self.file.set_len(0).and_then(|()| self.file.seek(SeekFrom::Start(0)));
        emptied.map_err(|error| unusable(self.path, "written", &error))?;
        self.bytes = 0;
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), ClientError> {
        self.file.write_all(bytes).map_err(|error| unusable(self.path, "written", &error))?;
        self.bytes = self.bytes.saturating_add(bytes.len() as u64);
        Ok(())
    }

    fn finish(mut self) -> Result<(), ClientError> {
        let renamed = self.file.sync_all().and_then(|()| fs::rename(&self.unfinished, self.path));
        renamed.map_err(|error| unusable(self.path, "written", &error))?;
        self.is_finished = true;
        Ok(())
    }
}

impl Drop for UnfinishedFile<'_> {
    fn drop(&mut self) {
        if !self.is_finished {
            // Nothing more can be done about it.
            let _ = fs::remove_file(&self.unfinished);
        }
    }
}
