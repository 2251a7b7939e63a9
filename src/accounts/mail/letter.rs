//! An e-mail as text and as HTML, from the same words.

use askama::Template;

/// The words of an e-mail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Letter {
    pub subject: String,
    pub paragraphs: Vec<String>,
    /// Names and values: `Failed`, `412`.
    pub facts: Vec<(&'static str, String)>,
    /// What the reader can do, and its address.
    pub action: LetterLink,
    /// Why the reader gets it, and what to do if that is not wanted.
    pub footer: String,
    pub footer_link: Option<LetterLink>,
}

/// A link in an e-mail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LetterLink {
    pub words: &'static str,
    pub address: String,
}

/// Loads nothing from anywhere, so that opening it tells nobody.
#[derive(Template)]
#[template(path = "mail/letter.html")]
struct HtmlLetter<'a> {
    letter: &'a Letter,
}

#[derive(Template)]
#[template(path = "mail/letter.txt")]
struct TextLetter<'a> {
    letter: &'a Letter,
}

impl Letter {
    pub fn html(&self) -> askama::Result<String> {
        HtmlLetter { letter: self }.render()
    }

    pub fn text(&self) -> askama::Result<String> {
        TextLetter { letter: self }.render()
    }

    /// The subject on one line: a file's name may hold anything.
    pub fn subject_line(&self) -> String {
        let one_line = |c: char| if c.is_control() { ' ' } else { c };
        self.subject.chars().map(one_line).take(LONGEST_SUBJECT).collect()
    }
}

/// In characters.
const LONGEST_SUBJECT: usize = 300;
