//! Questions to the person at the terminal, and Ctrl-C.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, IsTerminal, Read, Write},
    os::fd::AsFd,
    pin::Pin,
};

use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    task::JoinHandle,
};

use super::{
    error::{ClientError, reason},
    printed::plain,
    screen::Screen,
};

/// Longer answers are no yes.
const LONGEST_ANSWER: u64 = 1_000;

/// The signals that end a command: of Ctrl-C, and of other programs.
#[derive(Debug)]
pub struct Interrupts {
    interrupt: Signal,
    terminate: Signal,
}

/// How work went on.
pub enum Watched<T> {
    Done(T),
    /// The person answered the question with yes.
    Yes,
    /// The command is to end at once.
    Left,
}

impl Interrupts {
    pub fn catch() -> Result<Self, ClientError> {
        let catch = |kind| {
            signal(kind).map_err(|error| {
                ClientError::Other(format!("Runboard cannot catch Ctrl-C: {}.", reason(&error)))
            })
        };
        Ok(Self { interrupt: catch(SignalKind::interrupt())?, terminate: catch(SignalKind::terminate())? })
    }

    /// Waits for any of them.
    pub async fn any(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }

    /// Goes on with `work` until it is done. Ctrl-C asks the question, if there is one and somebody to ask; a second
    /// one leaves. The work goes on while the question is open.
    pub async fn watch<F: Future>(
        &mut self,
        mut work: Pin<&mut F>,
        screen: &Screen,
        question: impl Fn() -> Option<String>,
    ) -> Watched<F::Output> {
        let mut asked: Option<JoinHandle<bool>> = None;
        loop {
            let answer = async {
                match asked.as_mut() {
                    Some(asked) => asked.await.unwrap_or(false),
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                done = work.as_mut() => {
                    if asked.is_some() {
                        end_line();
                        screen.end_question();
                    }
                    return Watched::Done(done);
                }
                yes = answer => {
                    asked = None;
                    if yes {
                        return Watched::Yes;
                    }
                    screen.end_question();
                }
                _ = self.terminate.recv() => return Watched::Left,
                _ = self.interrupt.recv() => {
                    let terminal = terminal().filter(|_| screen.is_terminal() && asked.is_none());
                    let Some((terminal, question)) = terminal.zip(question()) else {
                        if asked.is_some() {
                            end_line();
                        }
                        return Watched::Left;
                    };
                    screen.begin_question();
                    // The terminal has written ^C.
                    end_line();
                    asked = Some(tokio::task::spawn_blocking(move || is_yes(terminal, &question)));
                }
            }
        }
    }
}

/// Asks a question that waits for its answer. None if there is no terminal to ask at.
pub async fn confirm(question: String) -> Option<bool> {
    let terminal = terminal().filter(|_| io::stderr().is_terminal())?;
    tokio::task::spawn_blocking(move || is_yes(terminal, &question)).await.ok()
}

/// The terminal that the person types on, even if standard input is a file.
fn terminal() -> Option<File> {
    let own = || File::open("/dev/tty").ok();
    let input = || io::stdin().is_terminal().then(|| io::stdin().as_fd().try_clone_to_owned().ok()).flatten();
    own().or_else(|| input().map(File::from))
}

fn is_yes(terminal: File, question: &str) -> bool {
    let mut err = io::stderr().lock();
    let _ = write!(err, "{} [y/N] ", plain(question)).and_then(|()| err.flush());
    drop(err);
    let mut answer = String::new();
    let read = BufReader::new(terminal.take(LONGEST_ANSWER)).read_line(&mut answer);
    read.is_ok() && matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes")
}

fn end_line() {
    let _ = writeln!(io::stderr().lock());
}
