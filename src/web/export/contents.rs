//! The contents of an export, one piece after the other.

use std::{collections::VecDeque, io, pin::Pin};

use actix_web::web;
use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use serde::Serialize;

use crate::{
    base::{
        ids::{ImportId, UserId},
        time::UnixMillis,
    },
    files::{Key, Segments, Storage},
    imports::{Imports, Owned, RunSnapshot, Snapshot},
    results::outputs::{self, Which},
    store::{self, Store},
};

/// The most imports in one zip, whose list of files is kept in memory. `imports.json` says where the rest is.
pub const MOST_IMPORTS: usize = 5_000;

/// How many imports are read from the database at once.
const PAGE: u32 = 100;

/// A piece of the export.
pub enum ExportPiece {
    /// A file begins.
    File { name: String, at: UnixMillis },
    /// Bytes of the file that began last.
    Bytes(Bytes),
}

type Blocks = Pin<Box<dyn Stream<Item = io::Result<Bytes>>>>;

/// A file of an import that is not sent yet.
struct Waiting {
    name: String,
    at: UnixMillis,
    blocks: Blocks,
}

/// Where the export has got to.
enum Stage {
    Begin,
    /// `imports.json`, up to this import.
    List {
        before: Option<ImportId>,
        listed: usize,
    },
    /// The files, up to this import.
    Files {
        before: Option<ImportId>,
        left: usize,
    },
    Over,
}

pub struct Contents {
    imports: web::Data<Imports>,
    store: web::Data<Store>,
    storage: web::Data<Storage>,
    owner: UserId,
    before: Option<ImportId>,
    stage: Stage,
    /// Of the last page that was read.
    page: VecDeque<Owned>,
    /// Of the last import.
    waiting: VecDeque<Waiting>,
    blocks: Option<Blocks>,
}

/// An import in `imports.json`, with the names of the API.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ExportedImport<'a> {
    id: String,
    file_name: &'a str,
    size_bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    source_url: Option<&'a str>,
    state: &'static str,
    received_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    finished_at: Option<String>,
    event_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    parent_id: Option<String>,
    runs: Vec<ExportedRun<'a>>,
    /// The folder of its files in the zip.
    folder: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ExportedRun<'a> {
    run_id: &'a str,
    function_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    function_name: Option<&'a str>,
    status: String,
    queued_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    ended_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    processed_items: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    failed_items: Option<u64>,
}

impl<'a> ExportedImport<'a> {
    fn new(import: &'a Snapshot) -> Self {
        let row = &import.row;
        Self {
            id: row.id.to_string(),
            file_name: import.file_name(),
            size_bytes: row.size_bytes,
            source_url: row.source_url.as_deref(),
            state: import.state().as_str(),
            received_at: row.received_at.to_string(),
            finished_at: row.finished_at.map(|at| at.to_string()),
            event_id: row.event_id.as_str(),
            parent_id: row.parent.as_ref().map(|parent| parent.id.to_string()),
            runs: import.runs.iter().map(ExportedRun::new).collect(),
            folder: row.id.to_string(),
        }
    }
}

impl<'a> ExportedRun<'a> {
    fn new(run: &'a RunSnapshot) -> Self {
        let counts = run.counts();
        Self {
            run_id: run.row.run_id.as_str(),
            function_id: &run.row.function_id,
            function_name: run.row.function_name.as_deref(),
            status: run.row.status.to_string(),
            queued_at: run.row.queued_at.to_string(),
            ended_at: run.row.ended_at.map(|at| at.to_string()),
            processed_items: counts.map(|counts| counts.processed),
            failed_items: counts.map(|counts| counts.failed),
        }
    }
}

impl Contents {
    /// The data of `owner`, of the imports that are older than `before`, newest first.
    pub fn new(
        imports: &web::Data<Imports>,
        store: &web::Data<Store>,
        storage: &web::Data<Storage>,
        owner: UserId,
        before: Option<ImportId>,
    ) -> Self {
        Self {
            imports: imports.clone(),
            store: store.clone(),
            storage: storage.clone(),
            owner,
            before,
            stage: Stage::Begin,
            page: VecDeque::new(),
            waiting: VecDeque::new(),
            blocks: None,
        }
    }

    /// The next piece; None at the end.
    pub async fn next(&mut self) -> io::Result<Option<ExportPiece>> {
        loop {
            if let Some(blocks) = &mut self.blocks {
                match blocks.next().await.transpose()? {
                    Some(bytes) => return Ok(Some(ExportPiece::Bytes(bytes))),
                    None => self.blocks = None,
                }
            }
            if let Some(Waiting { name, at, blocks }) = self.waiting.pop_front() {
                self.blocks = Some(blocks);
                return Ok(Some(ExportPiece::File { name, at }));
            }
            match self.stage {
                Stage::Begin => {
                    self.stage = Stage::List { before: self.before, listed: 0 };
                    return Ok(Some(ExportPiece::File {
                        name: "imports.json".to_owned(),
                        at: UnixMillis::now(),
                    }));
                }
                Stage::List { before, listed } => {
                    return Ok(Some(ExportPiece::Bytes(self.list(before, listed).await?)));
                }
                Stage::Files { before, left } => self.files(before, left).await?,
                Stage::Over => return Ok(None),
            }
        }
    }

    /// The next part of `imports.json`.
    async fn list(&mut self, before: Option<ImportId>, listed: usize) -> io::Result<Bytes> {
        let wanted = (MOST_IMPORTS - listed).min(PAGE as usize);
        let page = self.read(before, wanted).await?;
        let mut json = if listed == 0 { b"{\"data\":[".to_vec() } else { Vec::new() };
        for (index, import) in page.iter().enumerate() {
            json.extend_from_slice(if listed + index == 0 { b"\n" } else { b",\n" });
            serde_json::to_writer(&mut json, &ExportedImport::new(import))?;
        }
        let listed = listed + page.len();
        let last = page.last().map(|import| import.row.id).or(before);
        if page.len() == wanted && listed < MOST_IMPORTS {
            self.stage = Stage::List { before: last, listed };
            return Ok(json.into());
        }
        let has_more = listed == MOST_IMPORTS && !self.read(last, 1).await?.is_empty();
        let next = last.filter(|_| has_more).map(|last| format!("/account/export.zip?before={last}"));
        json.extend_from_slice(b"],\n\"next\":");
        serde_json::to_writer(&mut json, &next)?;
        json.extend_from_slice(b"}\n");
        self.stage = Stage::Files { before: self.before, left: listed };
        Ok(json.into())
    }

    /// Finds the files of the next import.
    async fn files(&mut self, before: Option<ImportId>, left: usize) -> io::Result<()> {
        if self.page.is_empty() {
            self.page = self.read(before, left.min(PAGE as usize)).await?.into();
        }
        let Some(import) = self.page.pop_front() else {
            self.stage = Stage::Over;
            return Ok(());
        };
        self.stage = Stage::Files { before: Some(import.row.id), left: left - 1 };
        self.waiting = self.files_of(&import).await?.into();
        Ok(())
    }

    async fn read(&self, before: Option<ImportId>, limit: usize) -> io::Result<Vec<Owned>> {
        if limit == 0 {
            return Ok(Vec::new());
        }
        let limit = u32::try_from(limit).unwrap_or(PAGE);
        self.imports.older_than(self.owner, before, limit).await.map_err(of_store)
    }

    /// The stored files of an import. Those of one that is deleted meanwhile are left out.
    async fn files_of(&self, import: &Snapshot) -> io::Result<Vec<Waiting>> {
        let (id, at) = (import.row.id, import.row.received_at);
        let ours = import.runs.iter().find(|run| run.is_ours());
        let mut files = Vec::new();
        let mut add = |name: String, at, file: io::Result<Segments>| match file {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            file => {
                files.push(Waiting { name: format!("{id}/{name}"), at, blocks: Box::pin(file?.read()) });
                Ok::<_, io::Error>(())
            }
        };
        let came_in = match ours {
            // Fetched, or copied from another run.
            Some(run) if import.row.source_url.is_some() || import.row.failed_rows_of.is_some() => {
                let steps = self.store.steps(&run.row.run_id).await.map_err(of_store)?;
                steps.into_iter().find_map(|step| step.files.source).map(Key::from_stored)
            }
            _ => Some(Key::upload(id)),
        };
        if let Some(key) = came_in {
            let name = format!("upload/{}", in_a_folder(import.file_name()));
            add(name, at, self.storage.segments(&[key]).await)?;
        }
        let Some(run) = ours else { return Ok(files) };
        for (which, name) in [(Which::Processed, "processed.csv"), (Which::Failed, "failed.csv")] {
            let outputs = outputs::of(&self.store, &run.row.run_id, which).await.map_err(of_store)?;
            let Some(outputs) = outputs else { continue };
            let parts = self.storage.segments(&outputs.parts).await;
            let file = parts.map(|parts| Segments::of_bytes(outputs.header).then(parts));
            add(name.to_owned(), outputs.committed_at, file)?;
        }
        Ok(files)
    }
}

fn of_store(error: store::Error) -> io::Error {
    io::Error::other(error)
}

/// A name that every system can unpack into a folder, and into no other.
fn in_a_folder(name: &str) -> String {
    let is_odd = |c: char| c.is_control() || "/\\:*?\"<>|".contains(c);
    let name: String = name.chars().map(|c| if is_odd(c) { '_' } else { c }).collect();
    match name.trim_end_matches(['.', ' ']) {
        "" => "unnamed".to_owned(),
        name => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_stays_in_its_folder() {
        for (name, kept) in [
            ("orders.csv", "orders.csv"),
            ("../../etc/passwd", ".._.._etc_passwd"),
            ("..", "unnamed"),
            ("C:\\a.csv", "C__a.csv"),
            ("größe 1.csv. ", "größe 1.csv"),
        ] {
            assert_eq!(in_a_folder(name), kept);
        }
    }
}
