//! The commands of a client: they talk to a server, and use none of its settings.

use std::{env, path::PathBuf};

use clap::{Args, Parser, Subcommand, ValueHint};
use clap_complete::Shell;
use secrecy::SecretString;
use url::Url;

use super::{ConfigError, check, hidden::HiddenText};
use crate::base::{ids::ImportId, time::UnixMillis};

/// The command line of a client.
#[derive(Parser)]
#[command(name = "runboard", version, about)]
pub(super) struct ClientLine {
    #[command(subcommand)]
    pub command: ClientCommand,
}

/// A command of a client.
#[derive(Clone, Debug, PartialEq, Eq, Subcommand)]
pub enum ClientCommand {
    /// Import files or addresses, and wait until they are over
    ///
    /// Standard output has the id of the import and the address of its page; its last line is the output of the run, as
    /// JSON. Ends with 0 if the import completed, 1 if it failed, 2 if it was cancelled, 3 in all other cases, and with
    /// --fail-on-rows 4 if rows failed. Of several imports, the worst counts: 3, then 1, 2, 4.
    Import(ImportArgs),
    /// List imports, newest first
    Imports(ImportsArgs),
    /// Show an import: its state, how its file was read, and why rows failed
    Show(ShowArgs),
    /// Start an import that was made with --look, and wait until it is over
    Start(StartArgs),
    /// Cancel an import
    Cancel(OneImportArgs),
    /// Run an import again, or only its failed rows, and wait until that is over
    Retry(RetryArgs),
    /// Delete an import that is over, with its files
    Delete(DeleteArgs),
    /// Save a token from your account page, once the server has accepted it
    Login(LoginArgs),
    /// Forget the saved token
    Logout,
    /// Print the script that completes these commands in a shell
    Completions { shell: Shell },
    /// Print the manual page, or write those of all commands into a folder
    Man {
        #[arg(value_hint = ValueHint::DirPath)]
        folder: Option<PathBuf>,
    },
}

const URL_VARIABLE: &str = "RUNBOARD_URL";

/// The address of a server that a flag, an argument or the variable gives.
#[derive(Clone, Debug)]
pub struct GivenAddress {
    pub url: Url,
    pub is_of_variable: bool,
}

impl GivenAddress {
    /// `typed` is what a refusal calls the address if it is not that of the variable.
    fn of(given: Option<&String>, typed: &'static str) -> Result<Option<Self>, ConfigError> {
        let is_of_variable = given.is_some() && env::var(URL_VARIABLE).ok().as_ref() == given;
        let url = check::origin(if is_of_variable { URL_VARIABLE } else { typed }, given)?;
        Ok(url.map(|url| Self { url, is_of_variable }))
    }
}

/// The server, and the token for it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Args)]
pub struct ServerArgs {
    /// Address of the server [default: that of the last login, or http://127.0.0.1:8080]
    #[arg(long, env = URL_VARIABLE, value_name = "URL", value_hint = ValueHint::Url)]
    url: Option<String>,

    /// Token from your account page [default: that of the last login]. Others on this machine can see a command
    /// line: prefer the variable or runboard login
    #[arg(long, env = "RUNBOARD_TOKEN", value_name = "TOKEN", hide_env_values = true)]
    token: Option<HiddenText>,
}

impl ServerArgs {
    /// The address, if one is given.
    ///
    /// # Errors
    /// It is not the address of a server.
    pub fn address(&self) -> Result<Option<GivenAddress>, ConfigError> {
        GivenAddress::of(self.url.as_ref(), "--url")
    }

    /// The token, if one is given.
    #[must_use]
    pub fn token(&self) -> Option<SecretString> {
        let given = self.token.as_ref().map(|token| token.as_str().trim());
        given.filter(|token| !token.is_empty()).map(SecretString::from)
    }
}

/// How a file is read. What is not said is detected.
#[derive(Clone, Debug, Default, PartialEq, Eq, Args)]
#[command(next_help_heading = "How the file is read (what is not said is detected)")]
pub struct ReadingArgs {
    /// Encoding of the characters, such as utf-8 or windows-1252
    #[arg(long, value_name = "NAME")]
    encoding: Option<String>,

    /// Separator: comma, semicolon, tab, pipe, space, colon, or the characters themselves
    #[arg(long, value_name = "NAME|CHARACTERS", allow_hyphen_values = true)]
    delimiter: Option<String>,

    /// Quote around fields
    #[arg(long, value_name = "QUOTE", value_parser = ["double", "single", "none", "detect"])]
    quote: Option<String>,

    /// How a quote is written inside quotes
    #[arg(long, value_name = "ESCAPE", value_parser = ["doubled", "backslash", "detect"])]
    escape: Option<String>,

    /// Line of the header, from 1, or none
    #[arg(long, value_name = "LINE|none")]
    header: Option<String>,

    /// Rows of the header: 1 to 3
    #[arg(long, value_name = "NUMBER")]
    header_rows: Option<String>,

    /// Sheet of a workbook
    #[arg(long, value_name = "NAME", allow_hyphen_values = true)]
    sheet: Option<String>,
}

impl ReadingArgs {
    /// What is said, by the names of the fields in a form and in JSON.
    pub fn said(&self) -> impl Iterator<Item = (&'static str, &'static str, &str)> {
        let all = [
            ("encoding", "encoding", &self.encoding),
            ("delimiter", "delimiter", &self.delimiter),
            ("quote", "quote", &self.quote),
            ("escape", "escape", &self.escape),
            ("header", "header", &self.header),
            ("header_rows", "headerRows", &self.header_rows),
            ("sheet", "sheet", &self.sheet),
        ];
        all.into_iter().filter_map(|(field, member, value)| Some((field, member, value.as_deref()?)))
    }
}

/// Whether to wait for the end, and what to do then.
#[derive(Clone, Debug, Default, PartialEq, Eq, Args)]
pub struct WaitArgs {
    /// Wait for the end (the default)
    #[arg(long, overrides_with = "no_wait")]
    wait: bool,

    /// Do not wait: print the id of the import and the address of its page
    #[arg(long, overrides_with = "wait")]
    pub no_wait: bool,

    /// Print the whole import as the API gives it, on one line, instead of the output of its run
    #[arg(long)]
    pub json: bool,

    /// End with 4 if the import completed, but rows failed
    #[arg(long, conflicts_with = "no_wait")]
    pub fail_on_rows: bool,

    /// Save the failed rows, with their reasons, as this CSV file
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, conflicts_with = "no_wait")]
    pub failed: Option<PathBuf>,

    /// Save the processed rows as this CSV file
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, conflicts_with = "no_wait")]
    pub processed: Option<PathBuf>,
}

#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub struct ImportArgs {
    /// Files, addresses (http or https), or - for standard input
    #[arg(required = true, value_name = "FILE|URL|-", value_hint = ValueHint::AnyPath)]
    pub sources: Vec<PathBuf>,

    /// Name of the file, if it is not that of the source
    #[arg(long, value_name = "NAME", allow_hyphen_values = true)]
    pub name: Option<String>,

    /// Only look: nothing runs until runboard start
    #[arg(long, conflicts_with_all = ["wait", "no_wait", "fail_on_rows", "failed", "processed"])]
    pub look: bool,

    #[command(flatten)]
    pub wait: WaitArgs,
    #[command(flatten)]
    pub server: ServerArgs,
    #[command(flatten)]
    pub reading: ReadingArgs,
}

#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub struct ImportsArgs {
    /// Only imports in this state
    #[arg(long, value_parser = [
        "Held", "Accepted", "Sent", "NoFunction", "Running", "Lost", "Completed", "Failed", "Cancelled", "Skipped",
    ])]
    pub state: Option<String>,

    /// Only imports that are over and have failed rows
    #[arg(long)]
    pub failed: bool,

    /// Only imports received at or after this time: a date, or a time such as 2026-11-23T08:00:00Z
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub since: Option<String>,

    /// Only imports received at or before this time; of a date, its whole day (UTC)
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub until: Option<String>,

    /// Only imports with this text in their file's name, in any case
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    pub query: Option<String>,

    /// How many imports, at most
    #[arg(long, value_name = "NUMBER", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
    pub limit: u32,

    /// Print each import as the API gives it, one on a line
    #[arg(long)]
    pub json: bool,

    #[command(flatten)]
    pub server: ServerArgs,
}

#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub struct ShowArgs {
    #[command(flatten)]
    pub import: OneImportArgs,

    /// Print the import as the API gives it, on one line
    #[arg(long)]
    pub json: bool,
}

/// An import that there is.
#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub struct OneImportArgs {
    /// Id of the import
    #[arg(value_name = "ID", value_parser = import_id)]
    pub id: ImportId,

    #[command(flatten)]
    pub server: ServerArgs,
}

#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub struct StartArgs {
    #[command(flatten)]
    pub import: OneImportArgs,
    #[command(flatten)]
    pub wait: WaitArgs,
    #[command(flatten)]
    pub reading: ReadingArgs,
}

#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub struct RetryArgs {
    #[command(flatten)]
    pub import: OneImportArgs,

    /// Only the rows that failed
    #[arg(long)]
    pub only_failed: bool,

    #[command(flatten)]
    pub wait: WaitArgs,
    #[command(flatten)]
    pub reading: ReadingArgs,
}

#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub struct DeleteArgs {
    #[command(flatten)]
    pub import: OneImportArgs,

    /// Do not ask
    #[arg(long)]
    pub yes: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub struct LoginArgs {
    /// Address of the server [default: that of the last login, or http://127.0.0.1:8080]
    #[arg(env = URL_VARIABLE, value_name = "URL", value_hint = ValueHint::Url)]
    url: Option<String>,
}

impl LoginArgs {
    /// The address, if one is given.
    ///
    /// # Errors
    /// It is not the address of a server.
    pub fn address(&self) -> Result<Option<GivenAddress>, ConfigError> {
        GivenAddress::of(self.url.as_ref(), "The address")
    }
}

fn import_id(text: &str) -> Result<ImportId, &'static str> {
    text.parse().map_err(|_| "an import's id has 26 letters and digits, as runboard imports shows it")
}

fn time(text: &str) -> Result<String, &'static str> {
    let whole = if text.contains(['T', 't', ' ']) { text.to_owned() } else { format!("{text}T00:00:00Z") };
    // The server takes the whole year 9999, whose last hours are later than what is parsed.
    let is_time = UnixMillis::from_rfc3339(&whole.replacen("9999-", "9998-", 1)).is_some();
    is_time
        .then(|| text.to_owned())
        .ok_or("write a date such as 2026-11-23, or a time such as 2026-11-23T08:00:00Z")
}
