//! What is printed: no character of a server or a file may steer the terminal.

use std::{
    fmt::Write as _,
    io::{self, Write},
    path::Path,
};

use super::error::{ClientError, reason};
use crate::base::characters::misleads;

/// The text in one line, with such characters written out: `\u{1b}`.
pub fn plain(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if misleads(c) {
            shown.extend(c.escape_default());
        } else {
            shown.push(c);
        }
    }
    shown
}

/// JSON in one line, with such characters escaped as JSON does it: the value is the same.
pub fn plain_json(json: &str) -> String {
    let mut shown = String::with_capacity(json.len());
    for c in json.trim().chars() {
        if matches!(c, '\n' | '\r' | '\t') {
            // Only between values: inside of strings they are escaped already.
            shown.push(' ');
        } else if misleads(c) {
            for unit in c.encode_utf16(&mut [0; 2]) {
                // Writing to a string cannot fail.
                let _ = write!(shown, "\\u{unit:04x}");
            }
        } else {
            shown.push(c);
        }
    }
    shown
}

/// A line on standard output.
///
/// # Errors
/// It is closed, or cannot be written to.
pub fn line(text: &str) -> Result<(), ClientError> {
    bytes(format!("{text}\n").as_bytes())
}

/// The same with bytes that Runboard made itself.
///
/// # Errors
/// See [`line()`].
pub fn bytes(bytes: &[u8]) -> Result<(), ClientError> {
    let mut out = io::stdout().lock();
    out.write_all(bytes).and_then(|()| out.flush()).map_err(|error| match error.kind() {
        io::ErrorKind::BrokenPipe => ClientError::NobodyReads,
        _ => ClientError::Other(format!("Standard output cannot be written to: {}.", reason(&error))),
    })
}

/// A line on standard error. If that is closed, the exit code has to be enough.
pub fn complain(sentence: &str) {
    let _ = writeln!(io::stderr().lock(), "{}", plain(sentence));
}

/// A file or folder that cannot be `used`: read, written, removed.
pub fn unusable(path: &Path, used: &str, error: &io::Error) -> ClientError {
    let path = plain(&path.display().to_string());
    ClientError::Other(format!("{path} cannot be {used}: {}.", reason(error)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_text_steers_the_terminal() {
        assert_eq!(plain("kunden übersicht.csv"), "kunden übersicht.csv");
        assert_eq!(plain("a\u{1b}]0;x\u{7}\nb\u{9b}2J\u{202e}"), "a\\u{1b}]0;x\\u{7}\\nb\\u{9b}2J\\u{202e}");
    }

    #[test]
    fn json_keeps_its_value() {
        let json = "{\n\t\"a\": \"\u{7f}\u{9b}2J\u{202e}é\u{1f600}\\u001b\" }";
        let shown = plain_json(json);
        assert!(!shown.chars().any(misleads), "{shown}");
        let value = |json: &str| serde_json::from_str::<serde_json::Value>(json).unwrap();
        assert_eq!(value(&shown), value(json));
    }
}
