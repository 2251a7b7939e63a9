//! The end of an import, in the words of an e-mail about it.

use super::{
    badge::BadgeState,
    format::{grouped, rows},
};
use crate::{
    csv::Counts,
    imports::{ImportState, RunSnapshot, Snapshot},
};

/// The shortest true description: `999,588 rows processed, 412 failed`.
#[must_use]
pub fn headline(snapshot: &Snapshot) -> String {
    let state = snapshot.state();
    let word = BadgeState::of_import(snapshot, state).word().to_lowercase();
    match (state, only_counts(snapshot)) {
        (ImportState::Completed, Some(counts)) => completed(counts),
        (_, Some(counts)) if counts.total() > 0 => format!("{word}, {}", completed(counts)),
        _ => word,
    }
}

/// Names and values for a table.
#[must_use]
pub fn facts(snapshot: &Snapshot) -> Vec<(&'static str, String)> {
    let word = BadgeState::of_import(snapshot, snapshot.state()).word();
    let counts = only_counts(snapshot).map(|counts| {
        [("Processed rows", grouped(counts.processed)), ("Failed rows", grouped(counts.failed))]
    });
    [("Status", word.to_owned())].into_iter().chain(counts.into_iter().flatten()).collect()
}

/// The counts of the only run. Those of several functions are not added, because each read the same rows.
fn only_counts(snapshot: &Snapshot) -> Option<Counts> {
    match snapshot.runs.as_slice() {
        [only] => RunSnapshot::counts(only),
        _ => None,
    }
}

fn completed(counts: Counts) -> String {
    match counts {
        Counts { processed: 0, failed: 0 } => "no rows".to_owned(),
        Counts { processed: 0, failed: 1 } => "the only row failed".to_owned(),
        Counts { processed: 0, failed } => format!("all {} failed", rows(failed)),
        Counts { processed, failed: 0 } => format!("{} processed", rows(processed)),
        Counts { processed, failed } => format!("{} processed, {} failed", rows(processed), grouped(failed)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_said_as_on_the_page() {
        for (processed, failed, expected) in [
            (999_588, 412, "999,588 rows processed, 412 failed"),
            (1, 0, "1 row processed"),
            (0, 300, "all 300 rows failed"),
            (0, 1, "the only row failed"),
            (0, 0, "no rows"),
        ] {
            assert_eq!(completed(Counts { processed, failed }), expected);
        }
    }
}
