//! The bars, on standard error and only on a terminal.

use std::{
    cell::{Cell, RefCell},
    io::{self, IsTerminal},
    time::Duration,
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::{
    error::ClientError,
    printed::{complain, plain},
    told::ImportTold,
};

/// A file with a known size, one without, and the rows.
const UPLOAD: &str =
    "{prefix} [{bar:20}] {percent}% of {binary_total_bytes} sent, {binary_bytes_per_sec}, {eta} left";
const STREAM: &str = "{prefix} {spinner} {binary_bytes} sent, {binary_bytes_per_sec}";
const ROWS: &str = "{prefix} [{bar:20}] {wide_msg}";

/// The length of a bar of rows, whose share is a fraction.
const WHOLE: u64 = 10_000;

/// Longer names are cut, so that the bar has room.
const LONGEST_NAME: usize = 30;

/// How often a bar shows that time passes.
const TICK: Duration = Duration::from_millis(250);

/// What a person sees while a command works.
#[derive(Debug)]
pub struct Screen {
    is_terminal: bool,
    shown: RefCell<Option<Shown>>,
    /// Whether a question is shown in place of the bar.
    is_asking: Cell<bool>,
    /// Whether it was said that the connection is lost.
    has_lost: Cell<bool>,
}

#[derive(Debug)]
struct Shown {
    template: &'static str,
    length: Option<u64>,
    position: u64,
    prefix: String,
    message: String,
    /// None while it is not drawn.
    bar: Option<ProgressBar>,
}

impl Screen {
    pub fn new() -> Self {
        Self {
            is_terminal: io::stderr().is_terminal(),
            shown: RefCell::new(None),
            is_asking: Cell::new(false),
            has_lost: Cell::new(false),
        }
    }

    pub fn is_terminal(&self) -> bool {
        self.is_terminal
    }

    /// Begins the bar of an upload. `bytes` is None if nobody knows how many come.
    pub fn uploading(&self, name: &str, bytes: Option<u64>) {
        let template = if bytes.is_some() { UPLOAD } else { STREAM };
        self.begin(name, template, bytes);
    }

    /// More bytes of it were sent.
    pub fn sent(&self, bytes: u64) {
        self.change(|shown| shown.position = shown.position.saturating_add(bytes));
    }

    /// Shows how far an import is.
    pub fn rows(&self, import: &ImportTold) {
        self.has_lost.set(false);
        if self.shown.borrow().as_ref().is_none_or(|shown| shown.template != ROWS) {
            self.begin(&import.file_name, ROWS, Some(WHOLE));
        }
        self.change(|shown| {
            shown.position = (import.fraction() * WHOLE as f64) as u64;
            shown.message = plain(&import.state_text);
        });
    }

    /// Says once that the connection is lost.
    pub fn lost(&self, error: &ClientError) {
        if !self.has_lost.replace(true) {
            self.say(&format!("{error} Trying again."));
        }
    }

    /// A line above the bar.
    pub fn say(&self, sentence: &str) {
        self.put_away();
        complain(sentence);
        self.put_back();
    }

    /// Takes the bar from the terminal, until the question is answered.
    pub fn begin_question(&self) {
        self.is_asking.set(true);
        self.put_away();
    }

    /// Draws the bar again, as far as it is by now.
    pub fn end_question(&self) {
        self.is_asking.set(false);
        self.put_back();
    }

    fn put_away(&self) {
        if let Some(bar) = self.shown.borrow_mut().as_mut().and_then(|shown| shown.bar.take()) {
            bar.finish_and_clear();
        }
    }

    fn put_back(&self) {
        if let Some(shown) = self.shown.borrow_mut().as_mut().filter(|_| self.draws()) {
            shown.draw();
        }
    }

    fn draws(&self) -> bool {
        self.is_terminal && !self.is_asking.get()
    }

    /// Ends the bar, so that nothing of it is left.
    pub fn end(&self) {
        self.put_away();
        self.shown.replace(None);
    }

    fn begin(&self, name: &str, template: &'static str, length: Option<u64>) {
        self.end();
        let mut prefix: String = plain(name).chars().take(LONGEST_NAME).collect();
        if prefix.len() < plain(name).len() {
            prefix.push_str("...");
        }
        let shown = Shown { template, length, position: 0, prefix, message: String::new(), bar: None };
        self.shown.replace(Some(shown));
        self.put_back();
    }

    fn change(&self, change: impl FnOnce(&mut Shown)) {
        if let Some(shown) = self.shown.borrow_mut().as_mut() {
            change(shown);
            if let Some(bar) = &shown.bar {
                bar.set_position(shown.position);
                bar.set_message(shown.message.clone());
            }
        }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        self.end();
    }
}

impl Shown {
    fn draw(&mut self) {
        let bar = ProgressBar::with_draw_target(self.length, ProgressDrawTarget::stderr());
        if let Ok(style) = ProgressStyle::with_template(self.template) {
            bar.set_style(style.progress_chars("=> "));
        }
        bar.set_prefix(self.prefix.clone());
        bar.set_position(self.position);
        bar.reset_eta();
        bar.set_message(self.message.clone());
        bar.enable_steady_tick(TICK);
        self.bar = Some(bar);
    }
}
