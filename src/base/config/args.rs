//! The command line: each setting is a flag and an environment variable.

use std::{env, ffi::OsString};

use clap::{Arg, CommandFactory, FromArgMatches, Parser, Subcommand};

use super::{
    client_args::{ClientCommand, ClientLine},
    misread::end,
    move_args::MoveArgs,
};

/// The command line. Each setting is a flag and an environment variable; the flag wins. The values are kept
/// as text: [`Config::from_args`](super::Config::from_args) validates all of them in one place.
#[derive(Clone, Parser)]
#[command(version, about, after_help = SIZES)]
pub struct Args {
    #[command(subcommand)]
    pub command: Option<AnyCommand>,

    /// Address and port of the pages
    #[arg(long, global = true, env = "RUNBOARD_LISTEN", default_value = "127.0.0.1:8080")]
    pub(super) listen: String,

    /// The address that people type, if a proxy is in front: http or https
    #[arg(long, global = true, env = "RUNBOARD_PUBLIC_URL", value_name = "URL")]
    pub(super) public_url: Option<String>,

    /// Folder of the database and the stored files; created if missing
    #[arg(long, global = true, env = "RUNBOARD_DATA_DIR", value_name = "FOLDER", default_value = "./data")]
    pub(super) data_dir: String,

    /// sqlite: or postgres: address of the database [default: runboard.db in the data folder]
    #[arg(long, global = true, env = "RUNBOARD_DATABASE_URL", value_name = "URL", hide_env_values = true)]
    pub(super) database_url: Option<String>,

    /// Connections to the database, at most [default: 6]
    #[arg(long, global = true, env = "RUNBOARD_DATABASE_CONNECTIONS", value_name = "NUMBER")]
    pub(super) database_connections: Option<String>,

    /// How long work waits for a free connection to the database [default: 30]
    #[arg(long, global = true, env = "RUNBOARD_DATABASE_ACQUIRE_SECONDS", value_name = "SECONDS")]
    pub(super) database_acquire_seconds: Option<String>,

    /// Bucket for the stored files, s3://bucket/prefix; region, endpoint and credentials are the AWS_ variables
    /// [default: the data folder]
    #[arg(long, global = true, env = "RUNBOARD_STORAGE_URL", value_name = "URL", hide_env_values = true)]
    pub(super) storage_url: Option<String>,

    /// How downloads from a bucket are answered: through Runboard, or direct, by a redirect to the S3 server
    #[arg(
        long,
        global = true,
        env = "RUNBOARD_STORAGE_LINKS",
        value_name = "HOW",
        default_value = "through"
    )]
    pub(super) storage_links: String,

    /// Who may create an account: first (only the first; beyond loopback only with a link printed at start),
    /// open or closed
    #[arg(long, global = true, env = "RUNBOARD_SIGN_UP", value_name = "WHO", default_value = "first")]
    pub(super) sign_up: String,

    /// The largest file that can be uploaded
    #[arg(
        long,
        global = true,
        env = "RUNBOARD_MAX_UPLOAD_BYTES",
        value_name = "SIZE",
        default_value = "10GiB"
    )]
    pub(super) max_upload_bytes: String,

    /// The most that the files of one account may take, uploads and results [default: no limit]
    #[arg(long, global = true, env = "RUNBOARD_QUOTA_BYTES", value_name = "SIZE")]
    pub(super) quota_bytes: Option<String>,

    /// The largest record of a CSV; a larger one counts as failed
    #[arg(
        long,
        global = true,
        env = "RUNBOARD_MAX_RECORD_BYTES",
        value_name = "SIZE",
        default_value = "16MiB"
    )]
    pub(super) max_record_bytes: String,

    /// Private networks that an address may lead to: CIDRs or addresses, each with a port unless it is 80 or
    /// 443, such as 10.0.0.0/8,192.168.1.5:8080
    #[arg(long, global = true, env = "RUNBOARD_ALLOW_ADDRESSES", value_name = "CIDR,...")]
    pub(super) allow_addresses: Option<String>,

    /// The proxies in front, whose X-Forwarded-For says where a visitor comes from: addresses, or CIDRs that
    /// hold nothing but proxies, such as 127.0.0.1,10.0.5.0/28
    #[arg(long, global = true, env = "RUNBOARD_TRUSTED_PROXIES", value_name = "ADDRESS|CIDR,...")]
    pub(super) trusted_proxies: Option<String>,

    /// How many connections one address may have open; 0 is no limit. Trusted proxies are exempt
    #[arg(
        long,
        global = true,
        env = "RUNBOARD_CONNECTIONS_PER_ADDRESS",
        value_name = "NUMBER",
        default_value = "256"
    )]
    pub(super) connections_per_address: String,

    /// How many requests a minute one token, or one signed-in user, may make to the API
    #[arg(long, global = true, env = "RUNBOARD_API_RATE", value_name = "NUMBER", default_value = "600")]
    pub(super) api_rate: String,

    /// How many files are read at once [default: the number of cores]
    #[arg(long, global = true, env = "RUNBOARD_WORKERS", value_name = "NUMBER")]
    pub(super) workers: Option<String>,

    /// How many addresses are fetched at once; one user has at most half of them
    #[arg(long, global = true, env = "RUNBOARD_FETCHES", value_name = "NUMBER", default_value = "16")]
    pub(super) fetches: String,

    /// Pauses before a failed run's second, third, ... attempt
    #[arg(
        long,
        global = true,
        env = "RUNBOARD_ENGINE_RETRY_SECONDS",
        value_name = "SECONDS,...",
        default_value = "15,30,60"
    )]
    pub(super) engine_retry_seconds: String,

    /// Requests a second to the engine, at most
    #[arg(long, global = true, env = "RUNBOARD_POLL_BUDGET", value_name = "NUMBER", default_value = "10")]
    pub(super) poll_budget: String,

    /// Whether Runboard reads the files itself: on, or off to leave that to other functions of the event
    #[arg(long, global = true, env = "RUNBOARD_PROCESSOR", value_name = "ON|OFF", default_value = "on")]
    pub(super) processor: String,

    /// Whether Inngest calls Runboard for every run that has ended: on, or off to find ends by polling alone.
    /// Inngest bills each such call as a run
    #[arg(long, global = true, env = "RUNBOARD_PUSH", value_name = "ON|OFF", default_value = "on")]
    pub(super) push: String,

    /// Where the outputs of other functions have their counts, processed and failed, as JSON pointers:
    /// /stats/ok,/stats/bad; several such pairs are separated by semicolons
    #[arg(long, global = true, env = "RUNBOARD_OUTPUT_POINTERS", value_name = "POINTER,POINTER;...")]
    pub(super) output_pointers: Option<String>,

    /// The server that takes e-mails: smtps://user:password@host, or smtp://host with ?tls=required or
    /// ?tls=opportunistic [default: no e-mail]
    #[arg(long, global = true, env = "RUNBOARD_SMTP_URL", value_name = "URL", hide_env_values = true)]
    pub(super) smtp_url: Option<String>,

    /// The address that e-mails are from; needed with the server
    #[arg(long, global = true, env = "RUNBOARD_MAIL_FROM", value_name = "ADDRESS")]
    pub(super) mail_from: Option<String>,

    /// Address and port at which others reach the embedded engine's API; needs both of its keys
    #[arg(long, global = true, env = "RUNBOARD_ENGINE_LISTEN", value_name = "ADDRESS")]
    pub(super) engine_listen: Option<String>,

    /// The key that others send events to the embedded engine with
    #[arg(
        long,
        global = true,
        env = "RUNBOARD_ENGINE_EVENT_KEY",
        value_name = "KEY",
        hide_env_values = true
    )]
    pub(super) engine_event_key: Option<String>,

    /// The key that others use the embedded engine's API with, hexadecimal
    #[arg(
        long,
        global = true,
        env = "RUNBOARD_ENGINE_SIGNING_KEY",
        value_name = "KEY",
        hide_env_values = true
    )]
    pub(super) engine_signing_key: Option<String>,

    #[command(flatten)]
    pub(super) inngest: InngestArgs,
}

/// Inngest instead of the embedded engine: Inngest's own variables.
#[derive(Clone, clap::Args)]
#[command(next_help_heading = "Inngest instead of the embedded engine")]
pub struct InngestArgs {
    /// Use a dev server: 1 for the one at http://localhost:8288, or its address
    #[arg(long, global = true, env = "INNGEST_DEV", value_name = "1|URL")]
    pub(super) inngest_dev: Option<String>,

    /// The key that events are sent with
    #[arg(long, global = true, env = "INNGEST_EVENT_KEY", value_name = "KEY", hide_env_values = true)]
    pub(super) inngest_event_key: Option<String>,

    /// The key that proves each side to the other
    #[arg(long, global = true, env = "INNGEST_SIGNING_KEY", value_name = "KEY", hide_env_values = true)]
    pub(super) inngest_signing_key: Option<String>,

    /// Used wherever the signing key fails, while keys are rotated
    #[arg(
        long,
        global = true,
        env = "INNGEST_SIGNING_KEY_FALLBACK",
        value_name = "KEY",
        hide_env_values = true
    )]
    pub(super) inngest_signing_key_fallback: Option<String>,

    /// An API key: reads and cancels by the v2 API use it in place of the signing key
    #[arg(long, global = true, env = "INNGEST_API_KEY", value_name = "KEY", hide_env_values = true)]
    pub(super) inngest_api_key: Option<String>,

    /// The environment, such as a branch's
    #[arg(long, global = true, env = "INNGEST_ENV", value_name = "NAME")]
    pub(super) inngest_env: Option<String>,

    /// Address of a self-hosted server [default: Inngest's cloud]
    #[arg(long, global = true, env = "INNGEST_BASE_URL", value_name = "URL")]
    pub(super) inngest_base_url: Option<String>,

    /// Address of its REST API, if that is another
    #[arg(long, global = true, env = "INNGEST_API_BASE_URL", value_name = "URL")]
    pub(super) inngest_api_base_url: Option<String>,

    /// Address that takes events, if that is another
    #[arg(long, global = true, env = "INNGEST_EVENT_API_BASE_URL", value_name = "URL")]
    pub(super) inngest_event_api_base_url: Option<String>,

    /// Where Inngest reaches Runboard, if not at the public URL
    #[arg(long, global = true, env = "INNGEST_SERVE_ORIGIN", value_name = "URL")]
    pub(super) inngest_serve_origin: Option<String>,

    /// The path that it calls there [default: /api/inngest]
    #[arg(long, global = true, env = "INNGEST_SERVE_PATH", value_name = "PATH")]
    pub(super) inngest_serve_path: Option<String>,
}

/// What this process was started for.
pub enum CommandLine {
    /// A command of the server, and its settings.
    Server(Box<Args>, Command),
    Client(Box<ClientCommand>),
}

/// The settings that commands other than [`Command::Serve`] use.
const STORE_SETTINGS: [&str; 4] =
    ["data_dir", "database_url", "database_connections", "database_acquire_seconds"];

/// The commands of the server that use only those.
const STORE_COMMANDS: [&str; 3] = ["account", "adopt", "move"];

impl CommandLine {
    /// Reads the command line of this process. `--help`, `--version` and a malformed command line end the
    /// process.
    ///
    /// A client's command is read without the settings of the server, so that none of them can be in its way. The
    /// server's commands accept every setting, so that one environment serves all of them.
    #[must_use]
    pub fn read() -> Self {
        let words: Vec<OsString> = env::args_os().collect();
        if words.get(1).and_then(|word| word.to_str()).is_some_and(ClientCommand::has_subcommand) {
            return match ClientLine::try_parse_from(words) {
                Ok(line) => Self::Client(Box::new(line.command)),
                Err(error) => end(&error),
            };
        }
        let matches = with_short_help(Args::command()).try_get_matches_from(words);
        let args = matches.and_then(|matches| Args::from_arg_matches(&matches));
        let args = args.unwrap_or_else(|error| end(&error));
        match args.command.clone() {
            Some(AnyCommand::Client(command)) => Self::Client(command),
            Some(AnyCommand::Server(command)) => Self::Server(Box::new(args), command),
            None => Self::Server(Box::new(args), Command::Serve),
        }
    }
}

/// The help of each command lists only the settings that it uses.
fn with_short_help(command: clap::Command) -> clap::Command {
    let settings: Vec<Arg> = command.get_arguments().map(|arg| arg.clone().hide(true)).collect();
    let names: Vec<String> = command.get_subcommands().map(|command| command.get_name().to_owned()).collect();
    names.iter().fold(command, |command, name| {
        let hidden: Vec<Arg> = settings.iter().filter(|arg| !uses(name, arg)).cloned().collect();
        command.mut_subcommand(name, |subcommand| subcommand.args(hidden))
    })
}

/// Whether the command with this name uses a setting of the server.
fn uses(command: &str, setting: &Arg) -> bool {
    match command {
        "serve" => true,
        "adopt" | "move" if setting.get_id().as_str() == "storage_url" => true,
        command if STORE_COMMANDS.contains(&command) => STORE_SETTINGS.contains(&setting.get_id().as_str()),
        _ => false,
    }
}

/// The whole command line, for completions and manual pages: each command has only the settings that it uses.
#[must_use]
pub fn described() -> clap::Command {
    let command = Args::command().disable_help_subcommand(true).mut_args(|arg| arg.global(false));
    let settings: Vec<Arg> = command.get_arguments().cloned().collect();
    command.mut_subcommands(|subcommand| {
        let name = subcommand.get_name().to_owned();
        let used: Vec<Arg> = settings.iter().filter(|arg| uses(&name, arg)).cloned().collect();
        let subcommand = subcommand.disable_help_subcommand(true);
        subcommand.mut_subcommands(|below| below.args(used.clone())).args(used.clone())
    })
}

const SIZES: &str = "A SIZE is a number of bytes, or one with a unit: 64KiB, 16MiB, 10GiB.";

/// A command. The default is [`Command::Serve`].
#[derive(Clone, Debug, PartialEq, Eq, Subcommand)]
pub enum AnyCommand {
    #[command(flatten)]
    Server(Command),
    #[command(flatten)]
    Client(Box<ClientCommand>),
}

/// A command of the server, or of its operator.
#[derive(Clone, Debug, PartialEq, Eq, Subcommand)]
pub enum Command {
    /// Run everything (the default)
    Serve,
    /// Add and list accounts, reset passwords, appoint admins; works while the server runs
    #[command(subcommand)]
    Account(AccountCommand),
    /// Join the database and the data folder after a restore or a move: no file is deleted
    ///
    /// A data folder works with the database that it was first used with, and with no other. After one of
    /// the two was restored from a backup, or the database was moved, stop the server and run this once with
    /// the settings of the server. Stored files that no import names are set aside in a folder that the
    /// command prints.
    Adopt,
    /// Copy the SQLite database to an empty Postgres, the stored files to an empty bucket, or both
    ///
    /// Stop the server before. All rows are copied in one transaction, read back and compared; files that the bucket
    /// has from an earlier attempt are not copied again. From the end on the database and the files of the new places
    /// belong together alone. If anything fails before that, the installation works as it did, and the command can be
    /// run again; after that it says that `runboard adopt` finishes it. The SQLite file and the folder of the files stay
    /// as they are.
    Move(MoveArgs),
}

#[derive(Clone, Debug, PartialEq, Eq, Subcommand)]
pub enum AccountCommand {
    /// Create an account, whatever RUNBOARD_SIGN_UP is: the password is the first line of the standard input
    Add { email: String },
    /// Set a new password and end all sessions: the password is the first line of the standard input
    Reset { email: String },
    /// List all accounts, oldest first, with tabs between the fields: e-mail, time of creation and, for an admin, the word
    /// admin
    List,
    /// Give an account the role of an admin, or take it away: admins invite people, hand out links for a new
    /// password and disable accounts
    Admin { email: String, role: OnOff },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum OnOff {
    On,
    Off,
}
