//! The bars, on standard error and only on a terminal.

use std::{
    cell::{Cell, RefCell},
    fmt,
    io::{self, IsTerminal},
    time::Duration,
};

use indicatif::{BinaryBytes, HumanDuration, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};
use rustix::termios::tcgetwinsize;

use super::{
    error::ClientError,
    printed::{complain, plain},
    told::ImportTold,
};

/// A file with a known size, one without, and the rows.
const UPLOAD: &str = "{prefix} [{bar:20}] {percent}% of {binary_total_bytes} sent{speed}{left}";
const STREAM: &str = "{prefix} {spinner} {binary_bytes} sent{speed}";
const ROWS: &str = "{prefix} [{bar:20}]{msg}";

/// How wide a bar is with its brackets and the space in front.
const BAR: usize = 23;

/// The length of a bar of rows, whose share is a fraction.
const WHOLE: u64 = 10_000;

/// Of longer names only both ends are shown, so that the bar has room.
const LONGEST_NAME: usize = 33;
const END_OF_NAME: usize = 15;

/// A terminal that does not say its width has this one; indicatif assumes the same.
const USUAL_COLUMNS: usize = 80;

/// What does not fit into so many lines below a bar is left out.
const MOST_LINES: usize = 4;

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
    /// Of several sources, the one that is sent or waited for.
    about: RefCell<Option<String>>,
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
            about: RefCell::new(None),
        }
    }

    /// Names the source that bars and lines are about, if there are several.
    pub fn name_source(&self, source: Option<&str>) {
        self.has_lost.set(false);
        self.about.replace(source.map(str::to_owned));
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
            let about = self.about.borrow().as_ref().map(|about| format!("{about}: ")).unwrap_or_default();
            self.say(&format!("{about}{error} Trying again."));
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
        let prefix = shortened(&plain(self.about.borrow().as_deref().unwrap_or(name)));
        let shown = Shown { template, length, position: 0, prefix, message: String::new(), bar: None };
        self.shown.replace(Some(shown));
        self.put_back();
    }

    fn change(&self, change: impl FnOnce(&mut Shown)) {
        if let Some(shown) = self.shown.borrow_mut().as_mut() {
            change(shown);
            if let Some(bar) = &shown.bar {
                bar.set_position(shown.position);
                bar.set_message(shown.placed_message());
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
            bar.set_style(
                style.progress_chars("=> ").with_key("speed", write_speed).with_key("left", write_left),
            );
        }
        bar.set_prefix(self.prefix.clone());
        bar.set_position(self.position);
        bar.reset_eta();
        bar.set_message(self.placed_message());
        bar.enable_steady_tick(TICK);
        self.bar = Some(bar);
    }

    fn placed_message(&self) -> String {
        placed(self.prefix.chars().count() + BAR, &self.message, columns())
    }
}

/// The speed of an upload. Before its first bytes there is none.
fn write_speed(upload: &ProgressState, out: &mut dyn fmt::Write) {
    if let Some(speed) = speed(upload) {
        // Writing to a string cannot fail.
        let _ = write!(out, ", {}/s", BinaryBytes(speed));
    }
}

/// How long it still takes at that speed, if that is a second or more.
fn write_left(upload: &ProgressState, out: &mut dyn fmt::Write) {
    let left = upload.eta();
    if speed(upload).is_some() && left.as_secs() > 0 {
        let _ = write!(out, ", {:#} left", HumanDuration(left));
    }
}

/// In bytes per second.
fn speed(upload: &ProgressState) -> Option<u64> {
    Some(upload.per_sec() as u64).filter(|speed| *speed > 0)
}

/// The width of the terminal.
fn columns() -> usize {
    let size = tcgetwinsize(io::stderr()).ok().filter(|size| size.ws_row > 0 && size.ws_col > 0);
    size.map_or(USUAL_COLUMNS, |size| size.ws_col.into())
}

/// A name that is not too long for its bar.
fn shortened(name: &str) -> String {
    let length = name.chars().count();
    if length <= LONGEST_NAME {
        return name.to_owned();
    }
    let front = name.chars().take(LONGEST_NAME - END_OF_NAME - 3);
    front.chain("...".chars()).chain(name.chars().skip(length - END_OF_NAME)).collect()
}

/// A text beside what takes so many columns, or below it in whole words if it does not fit there.
fn placed(taken: usize, text: &str, columns: usize) -> String {
    let fits = |width: usize| width < columns;
    if text.is_empty() {
        return String::new();
    }
    if fits(taken + 1 + text.chars().count()) {
        return format!(" {text}");
    }
    let (mut below, mut lines, mut width) = ("\n".to_owned(), 1, 0);
    for word in text.split_whitespace() {
        let length = word.chars().count();
        if width > 0 && !fits(width + 1 + length) {
            if lines == MOST_LINES {
                below.push_str("...");
                break;
            }
            (lines, width) = (lines + 1, 0);
            below.push('\n');
        } else if width > 0 {
            below.push(' ');
            width += 1;
        }
        below.push_str(word);
        width += length;
    }
    below
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sentence_is_beside_its_bar_or_below_it_in_whole_words() {
        assert_eq!(placed(30, "", 80), "");
        assert_eq!(placed(30, "1 row", 80), " 1 row");
        let sentence = "Attempt 1 of 4 failed. The next one begins at 20:43:26.";
        assert_eq!(placed(30, sentence, 120), format!(" {sentence}"));
        assert_eq!(placed(30, sentence, 80), format!("\n{sentence}"));
        assert_eq!(placed(30, sentence, 40), "\nAttempt 1 of 4 failed. The next one\nbegins at 20:43:26.");
        assert_eq!(placed(30, sentence, 12), "\nAttempt 1\nof 4\nfailed. The\nnext one...");
        assert_eq!(placed(30, "unbreakable", 5), "\nunbreakable");
    }

    #[test]
    fn a_long_name_keeps_both_ends() {
        assert_eq!(shortened("orders.csv"), "orders.csv");
        let long = "exports/2026/november/region-north/orders-1.csv";
        assert_eq!(shortened(long), "exports/2026/no...th/orders-1.csv");
    }
}
