//! What is known of a packed file while it is unpacked.

use std::sync::{
    OnceLock,
    atomic::{AtomicU64, Ordering},
};

use tokio::sync::Notify;

use super::memory::MemoryRequests;
use crate::csv::{How, SheetName, SheetRead, Sheets};

/// Set by the thread that unpacks, and read by the task that stores.
#[derive(Debug, Default)]
pub(super) struct UnpackingState {
    packed_bytes: AtomicU64,
    packed_size: AtomicU64,
    pub(super) memory: MemoryRequests,
    /// As the workbook lists them, before any is examined.
    sheet_names: OnceLock<Sheets>,
    /// None once it is certain that there are none.
    sheets: OnceLock<Option<Sheets>>,
    is_known: Notify,
    read: OnceLock<(SheetName, How)>,
}

impl UnpackingState {
    pub(super) fn unpacked(&self) -> (u64, u64) {
        (self.packed_bytes.load(Ordering::Relaxed), self.packed_size.load(Ordering::Relaxed))
    }

    /// So many packed bytes are to be unpacked.
    pub(super) fn set_packed_size(&self, bytes: u64) {
        self.packed_size.store(bytes, Ordering::Relaxed);
    }

    /// So many packed bytes are unpacked.
    pub(super) fn set_packed_bytes(&self, bytes: u64) {
        self.packed_bytes.fetch_max(bytes, Ordering::Relaxed);
    }

    pub(super) fn set_sheet_names(&self, names: Sheets) {
        self.sheet_names.get_or_init(|| names);
    }

    pub(super) fn sheet_names(&self) -> Option<Sheets> {
        self.sheet_names.get().cloned()
    }

    /// Only the first call counts.
    pub(super) fn set_sheets(&self, sheets: Option<Sheets>) {
        if self.sheets.set(sheets).is_ok() {
            self.is_known.notify_waiters();
        }
    }

    pub(super) fn set_sheet(&self, name: SheetName, how: How) {
        self.read.get_or_init(|| (name, how));
    }

    /// Waits until the sheets are known.
    pub(super) async fn sheets(&self) -> Option<Sheets> {
        loop {
            // Registered before the look, so that no notice is missed.
            let mut known = std::pin::pin!(self.is_known.notified());
            known.as_mut().enable();
            if let Some(sheets) = self.sheets.get() {
                return sheets.clone();
            }
            known.await;
        }
    }

    pub(super) fn sheet(&self) -> Option<SheetRead> {
        let sheets = self.sheets.get()?.clone()?;
        let (name, how) = self.read.get()?.clone();
        Some(SheetRead { name, how, sheets })
    }
}
