//! What is imported: a file, an address, or standard input.

use std::{
    io::{self, SeekFrom},
    os::fd::AsFd,
    path::{Path, PathBuf},
};

use tokio::{
    fs::File,
    io::{AsyncReadExt, AsyncSeekExt},
};
use url::Url;

use super::{
    error::{ClientError, reason},
    printed::plain,
};

#[derive(Clone, Debug)]
pub enum Source {
    File(PathBuf),
    Address(Url),
    Input,
}

/// The name of standard input, unless the person says another.
const INPUT_NAME: &str = "standard-input.csv";

impl Source {
    /// What the person typed.
    pub fn typed(text: &Path) -> Result<Self, ClientError> {
        if text == Path::new("-") {
            return Ok(Self::Input);
        }
        let is_address = |text: &&str| {
            let scheme = text.split("://").next().unwrap_or_default();
            text.contains("://")
                && (scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https"))
        };
        match text.to_str().filter(is_address) {
            Some(address) => match Url::parse(address) {
                Ok(url) => Ok(Self::Address(url)),
                Err(why) => Err(ClientError::Other(format!("{address} is no address: {why}."))),
            },
            None => Ok(Self::File(text.to_owned())),
        }
    }

    /// What it is called in messages. Addresses without their query and password, which may be secret.
    pub fn shown(&self) -> String {
        match self {
            Self::File(path) => plain(&path.display().to_string()),
            Self::Address(url) => {
                let host = url.host_str().unwrap_or_default();
                let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
                plain(&format!("{}://{host}{port}{}", url.scheme(), url.path()))
            }
            Self::Input => "standard input".to_owned(),
        }
    }

    /// The name of its file.
    pub fn name(&self) -> String {
        match self {
            Self::File(path) => {
                path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
            }
            Self::Address(_) => self.shown(),
            Self::Input => INPUT_NAME.to_owned(),
        }
    }

    /// Opens a file or standard input.
    pub async fn open(&self) -> Result<OpenSource, ClientError> {
        let refused = |error: io::Error| {
            ClientError::Other(format!("{} cannot be read: {}.", self.shown(), reason(&error)))
        };
        let file = match self {
            Self::File(path) => File::open(path).await.map_err(refused)?,
            Self::Input | Self::Address(_) => {
                let input = io::stdin().as_fd().try_clone_to_owned().map_err(refused)?;
                File::from_std(std::fs::File::from(input))
            }
        };
        let metadata = file.metadata().await.map_err(refused)?;
        if metadata.is_dir() {
            return Err(ClientError::Other(format!(
                "{} is a folder. Name the files in it, such as {}/*.csv.",
                self.shown(),
                self.shown().trim_end_matches('/')
            )));
        }
        let mut opened = OpenSource { shown: self.shown(), file, begin: 0, length: None, read: 0 };
        if metadata.is_file() {
            // Standard input may be a file of which a part was read already.
            opened.begin = opened.file.stream_position().await.map_err(refused)?;
            opened.length = Some(metadata.len().saturating_sub(opened.begin));
        }
        Ok(opened)
    }
}

/// An open file or stream.
#[derive(Debug)]
pub struct OpenSource {
    shown: String,
    file: File,
    begin: u64,
    /// None for a stream, which has no known length and can be read only once.
    pub length: Option<u64>,
    /// How many bytes were read.
    pub read: u64,
}

/// So much is in memory at a time.
const PIECE_BYTES: usize = 256 << 10;

impl OpenSource {
    /// Whether it can be read from its beginning.
    pub fn can_begin_again(&self) -> bool {
        self.length.is_some() || self.read == 0
    }

    /// Goes back to the beginning, if it has left it.
    pub async fn begin_again(&mut self) -> Result<(), ClientError> {
        if self.read > 0 {
            let back = self.file.seek(SeekFrom::Start(self.begin)).await;
            back.map_err(|error| self.unreadable(&error))?;
            self.read = 0;
        }
        Ok(())
    }

    /// The next bytes; empty at the end. A file is read as far as it was when it was opened.
    pub async fn piece(&mut self) -> Result<Vec<u8>, ClientError> {
        let left = self.length.map_or(u64::MAX, |length| length.saturating_sub(self.read));
        let most = usize::try_from(left).unwrap_or(usize::MAX).min(PIECE_BYTES);
        if most == 0 {
            return Ok(Vec::new());
        }
        let mut piece = Vec::with_capacity(most);
        let read = (&mut self.file).take(most as u64).read_buf(&mut piece).await;
        let read = read.map_err(|error| self.unreadable(&error))?;
        if read == 0 && self.length.is_some() {
            return Err(ClientError::Other(format!("{} became shorter while it was sent.", self.shown)));
        }
        self.read = self.read.saturating_add(read as u64);
        Ok(piece)
    }

    fn unreadable(&self, error: &io::Error) -> ClientError {
        ClientError::Other(format!("{} cannot be read further: {}.", self.shown, reason(error)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_shown_without_what_may_be_secret() {
        let address = Source::typed(Path::new("HTTPS://me:secret@example.org/a.csv?key=secret")).unwrap();
        assert_eq!(address.shown(), "https://example.org/a.csv");
        let of_port = Source::typed(Path::new("http://127.0.0.1:8099/a.csv?key=secret")).unwrap();
        assert_eq!(of_port.shown(), "http://127.0.0.1:8099/a.csv");
        for file in ["orders.csv", "ftp://example.org/a.csv", "./-", "http:"] {
            assert!(matches!(Source::typed(Path::new(file)), Ok(Source::File(_))), "{file}");
        }
        assert!(matches!(Source::typed(Path::new("-")), Ok(Source::Input)));
        let wrong = Source::typed(Path::new("http://")).unwrap_err().to_string();
        assert!(wrong.starts_with("http:// is no address: "), "{wrong}");
    }
}
