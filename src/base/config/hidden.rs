//! A secret on the command line.

use std::{convert::Infallible, fmt, str::FromStr};

/// A text that logs and panics do not show.
#[derive(Clone, PartialEq, Eq)]
pub struct HiddenText(String);

impl FromStr for HiddenText {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Debug for HiddenText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[hidden]")
    }
}

impl HiddenText {
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}
