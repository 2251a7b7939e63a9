//! A secret from the person at the terminal, or from a program.

use std::io::{self, BufRead, IsTerminal, Read};

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use secrecy::{ExposeSecret, SecretString};

/// Longer lines are no password and no token.
const LONGEST_LINE: u64 = 64 << 10;

/// Hides what is typed into a terminal on standard input, until it is dropped.
struct HiddenInput {
    before: Termios,
}

impl HiddenInput {
    fn begin() -> io::Result<Self> {
        let before = tcgetattr(io::stdin())?;
        let mut hidden = before.clone();
        hidden.local_modes.remove(LocalModes::ECHO);
        // The line end still moves the cursor to the next line.
        hidden.local_modes.insert(LocalModes::ECHONL);
        tcsetattr(io::stdin(), OptionalActions::Flush, &hidden)?;
        Ok(Self { before })
    }
}

impl Drop for HiddenInput {
    fn drop(&mut self) {
        // If the terminal was closed, there is nothing to restore.
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &self.before);
    }
}

/// The first line of standard input, without its end. On a terminal, `prompt` asks for it, and it is not shown. None
/// if `stopped` came first; it must catch the signals already, because one that kills the process would leave the
/// terminal without an echo.
///
/// # Errors
/// Standard input cannot be read.
pub async fn secret_line(
    prompt: &str,
    stopped: impl Future<Output = ()>,
) -> io::Result<Option<SecretString>> {
    let hidden = if io::stdin().is_terminal() { Some(HiddenInput::begin()?) } else { None };
    if hidden.is_some() {
        eprint!("{prompt}");
    }
    let reading = tokio::task::spawn_blocking(|| {
        let mut line = String::new();
        io::stdin().lock().take(LONGEST_LINE).read_line(&mut line).map(|_| SecretString::from(line))
    });
    let line = tokio::select! {
        line = reading => line.map_err(io::Error::other)??,
        () = stopped => {
            drop(hidden);
            // Ends the prompt's line.
            eprintln!();
            return Ok(None);
        }
    };
    Ok(Some(line.expose_secret().trim_end_matches(['\r', '\n']).into()))
}
