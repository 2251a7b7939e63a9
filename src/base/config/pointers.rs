//! Where the outputs of functions contain their counts.

use std::str::FromStr;

/// Pairs of JSON pointers (RFC 6901) to the processed and the failed items. The first pair of which an output
/// has both counts is used. The pointers of our own function's output come last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutputPointers(Vec<[String; 2]>);

const OURS: [&str; 2] = ["/processedItems", "/failedItems"];

impl OutputPointers {
    /// Each pair is (processed, failed).
    pub fn pairs(&self) -> impl Iterator<Item = &[String; 2]> {
        self.0.iter()
    }
}

impl Default for OutputPointers {
    fn default() -> Self {
        Self(vec![OURS.map(str::to_owned)])
    }
}

/// The text is not a list of pairs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoPointers;

impl FromStr for OutputPointers {
    type Err = NoPointers;

    fn from_str(text: &str) -> Result<Self, NoPointers> {
        let pointer = |text: &str| {
            let text = text.trim();
            // "~" is valid only in the escapes "~0" and "~1".
            let escapes = text.split('~').skip(1).all(|rest| rest.starts_with(['0', '1']));
            (text.len() > 1 && text.starts_with('/') && escapes).then(|| text.to_owned()).ok_or(NoPointers)
        };
        let pair = |text: &str| {
            let (processed, failed) = text.split_once(',').ok_or(NoPointers)?;
            Ok([pointer(processed)?, pointer(failed)?])
        };
        let mut pairs = text.split(';').map(pair).collect::<Result<Vec<_>, _>>()?;
        pairs.push(OURS.map(str::to_owned));
        Ok(Self(pairs))
    }
}
