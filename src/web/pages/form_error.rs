//! Errors of a form, and the fields that they belong to.

use std::time::Duration;

use crate::{http::error::seconds, report::format::counted};

/// Why a form was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FormError {
    pub sentence: String,
    fields: &'static [&'static str],
}

impl FormError {
    /// An error that belongs to no single field.
    #[must_use]
    pub fn of_form(sentence: impl Into<String>) -> Self {
        Self::of(&[], sentence)
    }

    #[must_use]
    pub fn of(fields: &'static [&'static str], sentence: impl Into<String>) -> Self {
        Self { sentence: sentence.into(), fields }
    }

    /// Whether the error belongs to the field of this name.
    #[must_use]
    pub fn blames(&self, field: &str) -> bool {
        self.fields.contains(&field)
    }
}

/// `58 seconds`, `3 minutes`: rounded up, so that a visitor does not come back too early.
#[must_use]
pub fn waiting_time(wait: Duration) -> String {
    let seconds = seconds(wait);
    if seconds < 100 { counted(seconds, "second") } else { counted(seconds.div_ceil(60), "minute") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_never_said_too_short() {
        for (millis, text) in [
            (0, "1 second"),
            (1, "1 second"),
            (1_001, "2 seconds"),
            (60_000, "60 seconds"),
            (100_000, "2 minutes"),
            (360_000, "6 minutes"),
        ] {
            assert_eq!(waiting_time(Duration::from_millis(millis)), text);
        }
    }
}
