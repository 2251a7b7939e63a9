//! The end of a process whose command line was not understood, or only asks for help.

use std::{
    io::{self, Write},
    process,
};

use clap::error::ErrorKind;

/// The exit code of a command that was not understood, such as a mistyped one of a client. Clap's own 2 would mean that an
/// import was cancelled.
const NOT_UNDERSTOOD: i32 = 3;

/// Prints what is wrong with the command line, or the help that was asked for.
pub(super) fn end(error: &clap::Error) -> ! {
    // Without a terminal or a file to write to, the code says enough.
    let _ = match error.kind() {
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => error.print(),
        _ if error.use_stderr() => writeln!(io::stderr(), "{}", one_line(error)),
        _ => error.print(),
    };
    process::exit(if error.use_stderr() { NOT_UNDERSTOOD } else { 0 })
}

/// What is wrong, a sentence for each paragraph of clap's text but that about the usage, which the help has too.
fn one_line(error: &clap::Error) -> String {
    let text = error.render().to_string();
    let paragraphs = text.trim_start_matches("error: ").split("\n\n").map(str::trim);
    let said = paragraphs.filter(|paragraph| !paragraph.is_empty() && !paragraph.starts_with("Usage:"));
    let sentences = said.map(|paragraph| {
        let words: Vec<&str> = paragraph.trim_end_matches('.').split_whitespace().collect();
        let words = words.join(" ");
        let mut rest = words.chars();
        let first = rest.next().map(|first| first.to_uppercase().to_string()).unwrap_or_default();
        format!("{first}{}.", rest.as_str())
    });
    sentences.collect::<Vec<_>>().join(" ")
}
