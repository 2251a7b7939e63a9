//! Rows of an import, for tests of the store.

use runboard::{
    base::{
        ids::{ImportId, UserId},
        time::UnixMillis,
    },
    csv::Choices,
    store::{imports::ImportRow, outbox::OutboxRow},
};

/// A new upload.
pub fn import_row(owner: UserId) -> ImportRow {
    let id = ImportId::generate();
    ImportRow {
        id,
        owner,
        file_name: "a.csv".to_owned(),
        has_chosen_name: false,
        size_bytes: 1,
        source_url: None,
        failed_rows_of: None,
        receiving_at: UnixMillis(1),
        received_at: UnixMillis(2),
        event_id: id.to_string().into(),
        sent_at: None,
        refused: None,
        cancel_requested_at: None,
        held_until: None,
        choices: Choices::default(),
        finished_at: None,
        parent: None,
    }
}

/// Its event, which is due.
pub fn event_row(import: &ImportRow) -> OutboxRow {
    OutboxRow {
        event_id: import.event_id.clone(),
        import: import.id,
        owner: import.owner,
        name: "n".to_owned(),
        data: "{}".to_owned(),
        seed: "s".to_owned(),
        attempts: 0,
        next_attempt_at: UnixMillis(3),
    }
}
