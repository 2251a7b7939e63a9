//! What e-mails say.

use super::letter::{Letter, LetterLink};

/// How an import has ended, in the words of its page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndedImport {
    pub file_name: String,
    /// `999,588 rows processed, 412 failed`.
    pub headline: String,
    /// What its page says.
    pub text: String,
    /// Names and values: `Failed`, `412`.
    pub facts: Vec<(&'static str, String)>,
}

const NOT_ASKED: &str = "If you did not ask for this, do nothing: your password stays as it is.";

/// To a user who has forgotten the password.
pub(super) fn reset_by_user(email: &str, link: String) -> Letter {
    Letter {
        subject: "Choose a new password for Runboard".to_owned(),
        paragraphs: vec![format!(
            "Somebody asked for a new password for {email}. The link works once, within an hour, and signs you out \
             everywhere else."
        )],
        facts: Vec::new(),
        action: LetterLink { words: "Choose a new password", address: link },
        footer: NOT_ASKED.to_owned(),
        footer_link: None,
    }
}

/// To a user for whom an admin has made a link.
pub(super) fn reset_by_admin(email: &str, link: String) -> Letter {
    Letter {
        subject: "Choose a new password for Runboard".to_owned(),
        paragraphs: vec![format!(
            "An admin made this link for {email}. It sets a new password once, within 24 hours, and signs you out \
             everywhere else."
        )],
        facts: Vec::new(),
        action: LetterLink { words: "Choose a new password", address: link },
        footer: NOT_ASKED.to_owned(),
        footer_link: None,
    }
}

pub(super) fn invitation(link: String) -> Letter {
    Letter {
        subject: "You are invited to Runboard".to_owned(),
        paragraphs: vec![
            "Runboard imports CSV files and shows live how many rows were processed and how many failed. The link \
             makes one account, within 7 days."
                .to_owned(),
        ],
        facts: Vec::new(),
        action: LetterLink { words: "Create your account", address: link },
        footer: "An admin of this Runboard entered your address. If you do not want an account, do nothing."
            .to_owned(),
        footer_link: None,
    }
}

pub(super) fn ended(import: EndedImport, link: String, settings: String) -> Letter {
    let EndedImport { file_name, headline, text, facts } = import;
    Letter {
        subject: format!("{file_name}: {headline}"),
        paragraphs: vec![file_name, text],
        facts,
        action: LetterLink { words: "See the import", address: link },
        footer: WHY_ENDED.to_owned(),
        footer_link: Some(LetterLink { words: CHANGE, address: settings }),
    }
}

pub(super) fn more_ended(count: u64, link: String, settings: String) -> Letter {
    let ended =
        if count == 1 { "1 more import ended".to_owned() } else { format!("{count} more imports ended") };
    Letter {
        paragraphs: vec![format!(
            "{ended} since the last e-mail about a single one. There were so many that they are summed up here."
        )],
        subject: ended,
        facts: Vec::new(),
        action: LetterLink { words: "See your imports", address: link },
        footer: WHY_ENDED.to_owned(),
        footer_link: Some(LetterLink { words: CHANGE, address: settings }),
    }
}

const WHY_ENDED: &str = "You get this because your account says that Runboard tells you when an import ends.";
const CHANGE: &str = "Change that on your account page";

/// To an admin who wants to see that e-mails arrive.
pub(super) fn test(link: String) -> Letter {
    Letter {
        subject: "Test e-mail from Runboard".to_owned(),
        paragraphs: vec!["E-mails from this Runboard arrive.".to_owned()],
        facts: Vec::new(),
        action: LetterLink { words: "Open Runboard", address: link },
        footer: "You asked for this on the page of the accounts.".to_owned(),
        footer_link: None,
    }
}
