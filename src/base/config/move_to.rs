//! Where `runboard move` moves an installation.

use secrecy::SecretString;

use super::{BucketConfig, ConfigError, StorageLinks, check, move_args::MoveArgs};

/// Where the database and the stored files are moved.
#[derive(Debug)]
pub struct MoveTo {
    /// The address of a Postgres.
    pub database: Option<SecretString>,
    pub bucket: Option<BucketConfig>,
}

impl MoveTo {
    /// Validates the addresses of `args`.
    ///
    /// # Errors
    /// One of them is not the address of a Postgres, or of a bucket that can be used.
    pub fn of(args: &MoveArgs) -> Result<Self, ConfigError> {
        let database = args.to.as_ref().map(|url| check::postgres_url("--to", url.as_str())).transpose()?;
        let bucket = args
            .files_to
            .as_ref()
            .map(|url| BucketConfig::at("--files-to", url, StorageLinks::Through))
            .transpose()?;
        Ok(Self { database, bucket })
    }
}
