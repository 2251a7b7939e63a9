//! The options of `runboard move`.

use secrecy::SecretString;

use super::{ConfigError, check, hidden::HiddenText};

/// Where the database is moved.
#[derive(Clone, Debug, PartialEq, Eq, clap::Args)]
pub struct MoveArgs {
    /// postgres:// address of the new database. Others on this machine can see a command line: the password can also
    /// be in PGPASSWORD or ~/.pgpass
    #[arg(long, value_name = "URL")]
    to: HiddenText,
}

impl MoveArgs {
    /// The address.
    ///
    /// # Errors
    /// It is not the address of a Postgres.
    pub fn to(&self) -> Result<SecretString, ConfigError> {
        check::postgres_url("--to", self.to.as_str())
    }
}
