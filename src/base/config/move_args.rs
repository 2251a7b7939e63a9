//! The options of `runboard move`.

use secrecy::SecretString;

use super::{BucketConfig, ConfigError, StorageLinks, check, hidden::HiddenText};

/// Where the database and the stored files are moved: at least one of the two.
#[derive(Clone, Debug, PartialEq, Eq, clap::Args)]
#[group(required = true, multiple = true)]
pub struct MoveArgs {
    /// postgres:// address of the new database. Others on this machine can see a command line: the password can also
    /// be in PGPASSWORD or ~/.pgpass
    #[arg(long, value_name = "URL")]
    to: Option<HiddenText>,

    /// Bucket that the files of the data folder are copied to, s3://bucket/prefix; region, endpoint and credentials are
    /// the AWS_ variables
    #[arg(long, value_name = "URL")]
    files_to: Option<String>,
}

/// Where they are moved.
#[derive(Debug)]
pub struct MoveTo {
    /// The address of a Postgres.
    pub database: Option<SecretString>,
    pub bucket: Option<BucketConfig>,
}

impl MoveArgs {
    /// Validates the addresses.
    ///
    /// # Errors
    /// One of them is not the address of a Postgres, or of a bucket that can be used.
    pub fn checked(&self) -> Result<MoveTo, ConfigError> {
        let database = self.to.as_ref().map(|url| check::postgres_url("--to", url.as_str())).transpose()?;
        let bucket = self
            .files_to
            .as_ref()
            .map(|url| BucketConfig::at("--files-to", url, StorageLinks::Through))
            .transpose()?;
        Ok(MoveTo { database, bucket })
    }
}
