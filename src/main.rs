//! The command line: runs a client's command, or reads the configuration, starts logging, and runs until stopped.

use std::{
    io::{self, IsTerminal, Write},
    process::ExitCode,
};

use anyhow::{anyhow, bail};
use runboard::{
    accounts::{Accounts, AdminChange, Email, ListedAccount, Password},
    app::{self, Adopted, App, CopiedFiles, MovedParts},
    base::{
        config::{AccountCommand, Command, CommandLine, Config, MoveArgs, MoveTo, OnOff, unknown_variables},
        terminal,
    },
    client,
    files::{Moved, UNNAMED_FOR},
    store::CopiedTable,
};
use rustix::{fs::Mode, process::umask};
use tikv_jemallocator::Jemalloc;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing_subscriber::EnvFilter;

/// glibc keeps what its threads free: after an import of 4 GB it held 120 MiB, this allocator 20 MiB.
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

fn main() -> ExitCode {
    let (args, command) = match CommandLine::read() {
        CommandLine::Client(command) => return client::run(*command),
        CommandLine::Server(args, command) => (args, command),
    };
    // No other user of this machine may read uploads, password hashes or keys, in any file.
    umask(Mode::RWXG | Mode::RWXO);
    let config = match Config::from_args(&args) {
        Ok(config) => config,
        Err(error) => return refuse(&error),
    };
    let set = std::env::var("RUST_LOG").ok().filter(|set| !set.is_empty());
    let set = set.unwrap_or_else(|| "info,sqlx=warn,actix_server=warn".to_owned());
    let Ok(filter) = EnvFilter::try_new(&set) else {
        return refuse(&format!(
            "RUST_LOG is {set:?}: it can be a level such as debug, or a list such as info,sqlx=warn."
        ));
    };
    // It logs each malformed request as an error, and any client can send those. The answers are enough.
    let quiet = "actix_http::h1::dispatcher=off".parse().ok().filter(|_| !set.contains("actix_http"));
    let filter = quiet.into_iter().fold(filter, EnvFilter::add_directive);
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(io::stderr().is_terminal())
        .with_writer(io::stderr)
        .init();

    for line in unknown_variables(std::env::vars_os().filter_map(|(name, _)| name.into_string().ok())) {
        tracing::warn!("{line}");
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return refuse(&error),
    };
    let done = runtime.block_on(async {
        match command {
            Command::Serve => serve(config).await,
            Command::Account(command) => account(config, command).await,
            Command::Adopt => adopt(&config).await,
            Command::Move(to) => move_installation(&config, &to).await,
        }
    });
    // A step that is still running is called again at the next start.
    runtime.shutdown_background();
    match done {
        Ok(()) => ExitCode::SUCCESS,
        // The text of each error already includes its cause.
        Err(error) => refuse(&error),
    }
}

/// Prints one line to standard error, for an operator: without "Error: " and without a backtrace.
fn refuse(why: &dyn std::fmt::Display) -> ExitCode {
    eprintln!("{why}");
    ExitCode::FAILURE
}

async fn serve(config: Config) -> anyhow::Result<()> {
    let mut data = config.data_dir.display().to_string();
    if let Some(bucket) = &config.bucket {
        data = format!("{data} and {bucket}");
    }
    let app = app::start(config).await?;
    // Before it is announced: a program that reads it may stop us at once.
    let mut stop = StopSignals::catch()?;
    if let Err(error) = announce(&app, &data) {
        // The server runs even if standard output is closed.
        tracing::warn!(%error, "cannot write to standard output");
    }
    stop.received().await;
    tracing::info!("stopping; running steps may finish");
    app.stop().await;
    Ok(())
}

/// Prints what an operator needs first.
fn announce(app: &App, data: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "Runboard {}", env!("CARGO_PKG_VERSION"))?;
    writeln!(out, "  address  {}", app.origin)?;
    writeln!(out, "  data     {data}")?;
    writeln!(out, "  engine   {}", app.engine)?;
    if let Some(mail) = &app.mail {
        writeln!(out, "  e-mail   {mail}")?;
    }
    let mut words = "Create the first account at";
    for link in &app.first_account {
        writeln!(out, "  {words} {link}")?;
        words = "                        or at";
    }
    out.flush()
}

/// Ctrl-C, SIGTERM and, when the terminal is closed, SIGHUP.
struct StopSignals {
    interrupt: Signal,
    terminate: Signal,
    /// None under `nohup`, which a handler would undo.
    hangup: Option<Signal>,
}

impl StopSignals {
    fn catch() -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: if ignores_hangup() { None } else { Some(signal(SignalKind::hangup())?) },
        })
    }

    /// Waits for one of them.
    async fn received(&mut self) {
        let hung_up = async {
            match &mut self.hangup {
                Some(hangup) => hangup.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            _ = hung_up => {}
        }
    }
}

/// Whether this process was started with SIGHUP ignored; false if the kernel does not say.
fn ignores_hangup() -> bool {
    let Ok(status) = std::fs::read_to_string("/proc/self/status") else { return false };
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    // One bit per signal, starting at 1; SIGHUP is 1.
    ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask & 1 == 1)
}

/// Joins the database and the data folder.
async fn adopt(config: &Config) -> anyhow::Result<()> {
    let folder = config.data_dir.display();
    let adopted = app::adopt(config).await?;
    let Adopted { imports, stored_files, set_aside, unnamed_objects, without_upload } = adopted;
    let mut out = io::stdout().lock();
    match &config.bucket {
        None => writeln!(out, "The database and the data folder {folder} now belong together.")?,
        Some(bucket) => writeln!(out, "The database and the files in {bucket} now belong together.")?,
    }
    writeln!(out, "  imports       {imports}")?;
    writeln!(out, "  stored files  {stored_files}")?;
    if let Some(Moved { files, folder }) = set_aside {
        writeln!(out, "  set aside     {files} that no import names, now in {}", folder.display())?;
        writeln!(
            out,
            "                Runboard does not delete them. Delete them when they are not needed."
        )?;
    }
    if unnamed_objects > 0 {
        let days = UNNAMED_FOR.as_secs() / (24 * 60 * 60);
        writeln!(out, "  unnamed       {unnamed_objects} that no import names")?;
        writeln!(
            out,
            "                A running server deletes all of them in {days} days. If this is the wrong database, stop it before."
        )?;
    }
    if without_upload > 0 {
        let place = if config.bucket.is_some() { "bucket" } else { "folder" };
        writeln!(
            out,
            "  incomplete    {without_upload} imports whose file is not in the {place}: they show, but cannot run again"
        )?;
    }
    Ok(())
}

/// Copies the database to a Postgres, the stored files to a bucket, or both.
async fn move_installation(config: &Config, to: &MoveArgs) -> anyhow::Result<()> {
    let to = MoveTo::of(to)?;
    let mut out = io::stdout().lock();
    // Also if nobody reads it: the move goes on.
    let tell = |table: &CopiedTable| drop(writeln!(out, "  {:<18} {:>12}", table.name, table.rows));
    let MovedParts { tables, files } = app::move_installation(config, &to, tell).await?;
    let set = match (&to.database, &to.bucket) {
        (_, None) => "RUNBOARD_DATABASE_URL to that database",
        (None, Some(_)) => "RUNBOARD_STORAGE_URL to that bucket",
        (Some(_), Some(_)) => "RUNBOARD_DATABASE_URL and RUNBOARD_STORAGE_URL to them",
    };
    if to.database.is_some() {
        let rows: u64 = tables.iter().map(|table| table.rows).sum();
        writeln!(
            out,
            "Copied {rows} rows of {} tables, and read each of them back as it was.",
            tables.len()
        )?;
    }
    if let (Some(bucket), Some(CopiedFiles { files, bytes, there_before, missing })) = (&to.bucket, files) {
        writeln!(out, "The bucket {bucket} has {files} files of {bytes} bytes, each with its size.")?;
        if there_before > 0 {
            writeln!(out, "  {there_before} of them were there from an earlier attempt.")?;
        }
        if missing > 0 {
            writeln!(
                out,
                "  {missing} files that imports name are not in the data folder, and not in the bucket."
            )?;
        }
    }
    writeln!(
        out,
        "The database and the stored files have a new common id. Set {set}, and start the server."
    )?;
    if to.bucket.is_some() {
        let folder = config.data_dir.join("files");
        writeln!(out, "The files in {} stay. The server does not need them any more.", folder.display())?;
    }
    if to.database.is_some() {
        writeln!(out, "The SQLite file was not changed.")?;
    }
    writeln!(
        out,
        "What was copied is refused from now on; `runboard adopt` with its settings would join it again."
    )?;
    Ok(())
}

/// Manages accounts, with or without a running server.
async fn account(config: Config, command: AccountCommand) -> anyhow::Result<()> {
    let store = app::open_existing(&config).await?;
    let accounts = Accounts::new(store, config.sign_up, config.listen);
    let mut out = io::stdout().lock();
    match command {
        AccountCommand::Add { email } => {
            let email = parse_email(&email)?;
            let added = accounts.add(email.clone(), read_password().await?).await;
            added.map_err(|error| anyhow!("{email} cannot be added: {error}."))?;
            writeln!(out, "{email} can sign in.")?;
        }
        AccountCommand::Reset { email } => {
            let email = parse_email(&email)?;
            if !accounts.reset(&email, read_password().await?).await? {
                bail!("There is no account {email}.");
            }
            writeln!(out, "{email} has a new password, and was signed out everywhere.")?;
        }
        AccountCommand::List => {
            for ListedAccount { email, created_at, is_admin } in accounts.list().await? {
                let role = if is_admin { "\tadmin" } else { "" };
                writeln!(out, "{email}\t{created_at}{role}")?;
            }
        }
        AccountCommand::Admin { email, role } => {
            let email = parse_email(&email)?;
            match accounts.set_admin(&email, role == OnOff::On).await? {
                AdminChange::Done if role == OnOff::On => writeln!(out, "{email} is an admin.")?,
                AdminChange::Done => writeln!(out, "{email} is no admin any more.")?,
                AdminChange::NotThere => bail!("There is no account {email}."),
                AdminChange::IsLastAdmin => {
                    bail!("{email} is the only admin who can sign in. Make another account an admin first.")
                }
            }
        }
    }
    Ok(())
}

fn parse_email(text: &str) -> anyhow::Result<Email> {
    text.parse().map_err(|error| anyhow!("{text:?} is {error}."))
}

/// The answer to an interrupted password prompt.
const STOPPED: &str = "Stopped. Nothing was changed.";

/// The first line of standard input. A terminal does not show it.
async fn read_password() -> anyhow::Result<Password> {
    let mut stop = StopSignals::catch()?;
    let Some(line) = terminal::secret_line("Password: ", stop.received()).await? else { bail!(STOPPED) };
    Password::try_from(line).map_err(|error| anyhow!("The password is {error}."))
}
