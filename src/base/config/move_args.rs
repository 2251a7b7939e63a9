//! The options of `runboard move`.

use super::hidden::HiddenText;

/// Where the database and the stored files are moved: at least one of the two.
#[derive(Clone, Debug, PartialEq, Eq, clap::Args)]
#[group(required = true, multiple = true)]
pub struct MoveArgs {
    /// postgres:// address of the new database. Others on this machine can see a command line: the password can also
    /// be in PGPASSWORD or ~/.pgpass
    #[arg(long, value_name = "URL")]
    pub(super) to: Option<HiddenText>,

    /// Bucket that the files of the data folder are copied to, s3://bucket/prefix; region, endpoint and credentials are
    /// the AWS_ variables
    #[arg(long, value_name = "URL")]
    pub(super) files_to: Option<String>,
}
