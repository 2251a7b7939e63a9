//! A pseudo-terminal with a person in front of it.

use std::{
    fs::File,
    io::{Read, Write},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    thread::{self, JoinHandle},
};

use rustix::{
    fs::{Mode, OFlags, open},
    pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
    termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize},
};

use super::{until, until_equal};

/// The person's end, and the program's end.
pub struct Terminal {
    pub person: File,
    pub program: File,
}

impl Terminal {
    pub fn open() -> Self {
        Self::of_width(120)
    }

    /// With so many columns.
    pub fn of_width(columns: u16) -> Self {
        let person = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&person).unwrap();
        unlockpt(&person).unwrap();
        let name = ptsname(&person, Vec::new()).unwrap();
        let program = open(name, OFlags::RDWR | OFlags::NOCTTY, Mode::empty()).unwrap();
        let size = Winsize { ws_row: 24, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&person, size).unwrap();
        Self { person: person.into(), program: program.into() }
    }

    pub fn echoes(&self) -> bool {
        tcgetattr(&self.program).unwrap().local_modes.contains(LocalModes::ECHO)
    }

    /// Everything that it has shown, once the program has ended.
    pub fn shown(self) -> String {
        let Self { mut person, program } = self;
        drop(program);
        let mut shown = Vec::new();
        // Linux ends the read with an error, because the other end is closed.
        let _ = person.read_to_end(&mut shown);
        String::from_utf8(shown).unwrap()
    }
}

/// A program on a terminal of its own. Its standard output is a pipe.
pub struct OnTerminal {
    process: Child,
    person: File,
    shown: Arc<Mutex<Vec<u8>>>,
    /// Reads until the program has closed its end.
    reader: Option<JoinHandle<()>>,
}

/// How it ended.
#[derive(Debug)]
pub struct EndOnTerminal {
    pub code: Option<i32>,
    /// What the terminal has shown.
    pub shown: String,
    /// What was written to standard output.
    pub out: String,
}

impl OnTerminal {
    /// Runs the program with the terminal as standard input, standard error and controlling terminal, so that Ctrl-C
    /// reaches it.
    pub fn start(command: &Command) -> Self {
        Self::start_on(Terminal::open(), command)
    }

    /// The same on a terminal that the test chooses.
    pub fn start_on(terminal: Terminal, command: &Command) -> Self {
        let mut session = Command::new("setsid");
        session.arg("--ctty").arg(command.get_program()).args(command.get_args()).env_clear();
        for (name, value) in command.get_envs() {
            session.env(name, value.unwrap_or_default());
        }
        session.env("TERM", "xterm").current_dir(command.get_current_dir().unwrap());
        session.stdin(terminal.program.try_clone().unwrap());
        session.stderr(terminal.program.try_clone().unwrap()).stdout(Stdio::piped());
        let process = session.spawn().unwrap();
        let Terminal { person, program } = terminal;
        drop((session, program));
        let shown = Arc::new(Mutex::new(Vec::new()));
        let (mut end, kept) = (person.try_clone().unwrap(), Arc::clone(&shown));
        let reader = thread::spawn(move || {
            let mut bytes = [0; 4_096];
            while let Ok(read @ 1..) = end.read(&mut bytes) {
                kept.lock().unwrap().extend_from_slice(&bytes[..read]);
            }
        });
        Self { process, person, shown, reader: Some(reader) }
    }

    pub fn shown(&self) -> String {
        String::from_utf8_lossy(&self.shown.lock().unwrap()).into_owned()
    }

    pub async fn until_shown(&self, text: &str) {
        if !self.shown().contains(text) {
            until_equal(&format!("{text:?} on the terminal"), || self.has_shown(text), Ok(())).await;
        }
    }

    fn has_shown(&self, text: &str) -> Result<(), String> {
        let shown = self.shown();
        if shown.contains(text) { Ok(()) } else { Err(shown) }
    }

    pub fn types(&mut self, text: &str) {
        self.person.write_all(text.as_bytes()).unwrap();
    }

    pub fn presses_ctrl_c(&mut self) {
        self.types("\u{3}");
    }

    /// Waits for its end.
    pub async fn end(mut self) -> EndOnTerminal {
        let process = Mutex::new(&mut self.process);
        let has_ended = || process.lock().unwrap().try_wait().unwrap().is_some();
        until("the end of the program", has_ended).await;
        let status = self.process.wait().unwrap();
        self.reader.take().unwrap().join().unwrap();
        let mut out = String::new();
        self.process.stdout.take().unwrap().read_to_string(&mut out).unwrap();
        EndOnTerminal { code: status.code(), shown: self.shown(), out }
    }
}

impl Drop for OnTerminal {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
