//! For a person at a terminal, and for scripts: commands that talk to a server below `/api/v1`, as any other program.

mod again;
mod ask;
mod download;
mod ending;
mod error;
mod follow;
mod import;
mod list;
mod login;
mod printed;
mod reference;
mod screen;
mod server;
mod show;
mod source;
mod times;
mod told;
mod upload;

use std::process::ExitCode;

use self::{ending::Ending, error::ClientError};
use crate::base::config::ClientCommand;

/// Runs a command to its end.
#[must_use]
pub fn run(command: ClientCommand) -> ExitCode {
    // One thread is enough to move bytes.
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return complain(&ClientError::Other(format!("Runboard cannot start: {error}."))),
    };
    let done = runtime.block_on(done(command));
    // A thread may still wait for a line that nobody types.
    runtime.shutdown_background();
    match done {
        Ok(ending) => ending.into(),
        // The program that reads the output has seen enough.
        Err(ClientError::NobodyReads) => Ending::Completed.into(),
        Err(error) => complain(&error),
    }
}

async fn done(command: ClientCommand) -> Result<Ending, ClientError> {
    match command {
        ClientCommand::Import(args) => import::import(args).await,
        ClientCommand::Start(args) => again::start(args).await,
        ClientCommand::Retry(args) => again::retry(args).await,
        ClientCommand::Imports(args) => list::list(&args).await,
        ClientCommand::Show(args) => show::show(&args).await,
        ClientCommand::Cancel(args) => again::cancel(&args).await,
        ClientCommand::Delete(args) => again::delete(&args).await,
        ClientCommand::Login(args) => login::login(&args).await,
        ClientCommand::Logout => login::logout(),
        ClientCommand::Completions { shell } => reference::completions(shell),
        ClientCommand::Man { folder } => reference::manual(folder.as_deref()),
    }
}

fn complain(error: &ClientError) -> ExitCode {
    printed::complain(&error.to_string());
    Ending::Other.into()
}
