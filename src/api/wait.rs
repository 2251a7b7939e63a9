//! Waiting for an import to be over or to change. It holds no thread and no connection to the database: an import that
//! runs is in memory, and a held one is read again only when it may have changed.

use std::time::Duration;

use actix_web::{
    HttpRequest,
    http::header::{EntityTag, IfNoneMatch},
};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{hash, import_json::ImportJson, inputs};
use crate::{
    http::{VERSION, conditional, error::Error, problem::Problem, serving},
    imports::{ImportState, Imports, Owned, Snapshot},
    report::{EngineName, ReportInputs, state_text::state_words},
};

/// More seconds than this count as this many: proxies end requests that take longer.
const LONGEST: u64 = 60;

/// How soon a program learns of rows, which are counted all the time. A change of the state is told at once.
const PACE: Duration = Duration::from_secs(1);

/// How soon a program learns of a state that only time changes, such as that there was no news for long.
const COMPARED_AGAIN_AFTER: Duration = Duration::from_secs(10);

/// The tag of an import: equal tags mean that nothing has happened in between. It is a weak one, because texts that
/// only time changes are no news.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tag {
    /// Of the states of the import and its runs.
    state: String,
    /// Of the counts.
    counts: String,
}

impl Tag {
    pub fn of(import: &Snapshot, inputs: &ReportInputs) -> Result<Self, Problem> {
        let mut told = ImportJson::new(import, inputs);
        // What an import has read stays the same once it is over, and leaves the memory.
        if !import.state().is_final() {
            told = told.with_reading(import);
        }
        told.state_text = state_words(import, inputs);
        let mut counts = format!("{:?}", told.size_bytes.take());
        for (run, known) in told.runs.iter_mut().zip(&import.runs) {
            run.progress = None;
            let counted = (run.processed_items.take(), run.failed_items.take());
            let receiving = known.receiving().map(|receiving| (receiving.bytes, receiving.total));
            counts.push_str(&format!("{counted:?} {} {receiving:?}", known.bytes()));
        }
        Ok(Self { state: hash(&serde_json::to_vec(&told)?), counts: hash(counts.as_bytes()) })
    }
}

impl Tag {
    /// The tag of the same state, told without what will be known later. It is not that of any whole answer.
    pub fn of_part(self) -> Self {
        Self { state: format!("part{}", self.state), ..self }
    }
}

impl From<Tag> for EntityTag {
    fn from(Tag { state, counts }: Tag) -> Self {
        Self::new_weak(format!("{state}-{counts}-{VERSION}"))
    }
}

/// What the program knows already.
enum Known {
    /// Nothing: it waits for the end.
    Nothing,
    /// States with these tags.
    Tags(Vec<String>),
}

/// What has changed since then.
#[derive(PartialEq, Eq)]
enum Changed {
    Nothing,
    Counts,
    State,
}

impl Known {
    fn of(request: &HttpRequest) -> Self {
        match conditional::if_none_match(request) {
            // Any state of it is known, which says nothing about changes.
            None | Some(IfNoneMatch::Any) => Self::Nothing,
            Some(IfNoneMatch::Items(tags)) => {
                Self::Tags(tags.into_iter().map(|tag| tag.tag().to_owned()).collect())
            }
        }
    }

    fn compare(&self, now: &Tag) -> Changed {
        let differs = |state: &str, rest: &str| {
            let (counts, version) = rest.split_once('-').unwrap_or_default();
            match (state == now.state, counts == now.counts) {
                (true, true) => Changed::Nothing,
                (true, false) => Changed::Counts,
                // A replica of another version may have told the same in another way. A program that asks both in turn
                // must not ask without a pause.
                (false, _) if version != VERSION => Changed::Counts,
                (false, _) => Changed::State,
            }
        };
        match self {
            Self::Nothing => Changed::Nothing,
            Self::Tags(tags) => {
                let mut changed = Changed::State;
                for (state, rest) in tags.iter().filter_map(|tag| tag.split_once('-')) {
                    match differs(state, rest) {
                        Changed::Nothing => return Changed::Nothing,
                        Changed::Counts => changed = Changed::Counts,
                        Changed::State => {}
                    }
                }
                changed
            }
        }
    }
}

/// Whether nothing more is to be waited for. A held import waits for its owner.
fn is_over(import: &Snapshot) -> bool {
    !import.expects_news() && import.state() != ImportState::Held
}

/// The import once it is over, or has changed since the `If-None-Match` of the request, or after so many seconds, or
/// when the server stops or the program hangs up.
pub async fn wait(
    mut import: Owned,
    request: &HttpRequest,
    seconds: u64,
    imports: &Imports,
    engine: &EngineName,
    stopping: &CancellationToken,
) -> Result<Owned, Problem> {
    if seconds == 0 || is_over(&import) {
        return Ok(import);
    }
    let began = Instant::now();
    let ends = began + Duration::from_secs(seconds.min(LONGEST));
    let known = Known::of(request);
    let hang_up = serving::hang_up(request);
    let waiter = imports.waiter(&import);
    let (mut compared_at, mut changed) = (None, Changed::Nothing);
    loop {
        let change = waiter.next_change();
        // Boxed, so that its space is taken only for this moment: thousands may wait.
        let current = Box::pin(imports.as_now(&import)).await?.ok_or(Error::NotFound)?;
        let is_same = *current == *import;
        import = current;
        let now = Instant::now();
        if is_over(&import) || now >= ends || stopping.is_cancelled() || hang_up.is_cancelled() {
            return Ok(import);
        }
        let mut at_most = ends - now;
        if !matches!(known, Known::Nothing) {
            if !is_same || compared_at.is_none_or(|at| now >= at + COMPARED_AGAIN_AFTER) {
                (changed, compared_at) = (known.compare(&Tag::of(&import, &inputs(engine))?), Some(now));
            }
            match changed {
                Changed::State => return Ok(import),
                Changed::Counts if now >= began + PACE => return Ok(import),
                // It is in the database, and changes only if it is started or discarded, which wakes this.
                _ if import.state() == ImportState::Held => {}
                Changed::Counts | Changed::Nothing => at_most = at_most.min(PACE),
            }
        }
        let _ = stopping.run_until_cancelled(hang_up.run_until_cancelled(change.within(at_most))).await;
    }
}
