//! The command line: read the configuration, start logging, run until stopped.

use std::{
    io::{self, IsTerminal, Write},
    process::ExitCode,
};

use anyhow::{anyhow, bail};
use clap::Parser;
use runboard::{
    accounts::{Accounts, Email, Password},
    app::{self, App, StartError},
    config::{AccountCommand, Args, Command, Config},
    store::Store,
};
use secrecy::{ExposeSecret, SecretString};
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

fn main() -> ExitCode {
    let args = Args::parse();
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
    // It logs each malformed request as an error, which whoever sends it decides. Its answers are enough.
    let quiet = "actix_http::h1::dispatcher=off".parse().ok().filter(|_| !set.contains("actix_http"));
    let filter = quiet.into_iter().fold(filter, EnvFilter::add_directive);
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(io::stderr().is_terminal())
        .with_writer(io::stderr)
        .init();

    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return refuse(&error),
    };
    let done = runtime.block_on(async {
        match args.command.unwrap_or(Command::Serve) {
            Command::Serve => serve(config).await,
            Command::Account(command) => account(config, command).await,
        }
    });
    // A step that is still at work is called again at the next start.
    runtime.shutdown_background();
    match done {
        Ok(()) => ExitCode::SUCCESS,
        // Each error's own text tells its cause already.
        Err(error) => refuse(&error),
    }
}

/// One line on the standard error; the operator reads it, so no "Error: " and no trace.
fn refuse(why: &dyn std::fmt::Display) -> ExitCode {
    eprintln!("{why}");
    ExitCode::FAILURE
}

async fn serve(config: Config) -> anyhow::Result<()> {
    let data_dir = config.data_dir.clone();
    let app = app::start(config).await?;
    if let Err(error) = announce(&app, &data_dir.display().to_string()) {
        // Whoever started us does not listen; that is no reason not to serve.
        tracing::warn!(%error, "cannot write to the standard output");
    }
    stopped().await?;
    tracing::info!("stopping; running steps may finish");
    app.stop().await;
    Ok(())
}

/// Says what an operator wants to know first.
fn announce(app: &App, data_dir: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "Runboard {}", env!("CARGO_PKG_VERSION"))?;
    writeln!(out, "  address  {}", app.origin)?;
    writeln!(out, "  data     {data_dir}")?;
    writeln!(out, "  engine   {}", app.engine)?;
    if let Some(link) = &app.first_account {
        writeln!(out, "  Create the first account at {link}")?;
    }
    out.flush()
}

/// Waits for Ctrl-C or SIGTERM.
async fn stopped() -> io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        pressed = tokio::signal::ctrl_c() => pressed,
        _ = terminate.recv() => Ok(()),
    }
}

/// Looks after accounts, beside a running server or without one.
async fn account(config: Config, command: AccountCommand) -> anyhow::Result<()> {
    app::data_dir::make(&config.data_dir)
        .map_err(|source| StartError::DataDir { path: config.data_dir.clone(), source })?;
    let store = Store::open(config.database_url.expose_secret()).await?;
    let accounts = Accounts::new(store, config.sign_up, config.listen);
    let mut out = io::stdout().lock();
    match command {
        AccountCommand::Add { email } => {
            let email = parse_email(&email)?;
            let added = accounts.add(email.clone(), read_password()?).await;
            added.map_err(|error| anyhow!("{email} cannot be added: {error}."))?;
            writeln!(out, "{email} can sign in.")?;
        }
        AccountCommand::Reset { email } => {
            let email = parse_email(&email)?;
            if !accounts.reset(&email, read_password()?).await? {
                bail!("There is no account {email}.");
            }
            writeln!(out, "{email} has a new password, and was signed out everywhere.")?;
        }
        AccountCommand::List => {
            for (email, created_at) in accounts.list().await? {
                writeln!(out, "{email}\t{created_at}")?;
            }
        }
    }
    Ok(())
}

fn parse_email(text: &str) -> anyhow::Result<Email> {
    text.parse().map_err(|error| anyhow!("{text:?} is {error}."))
}

/// The first line of the standard input.
fn read_password() -> anyhow::Result<Password> {
    if io::stdin().is_terminal() {
        eprintln!("Password:");
    }
    let mut line = String::new();
    io::stdin().read_line(&mut line)?;
    let line = line.trim_end_matches(['\r', '\n']);
    Password::try_from(SecretString::from(line)).map_err(|error| anyhow!("The password is {error}."))
}
