//! Waits for the end of imports.

use std::{
    cell::{Cell, RefCell},
    pin::pin,
    time::{Duration, Instant},
};

use reqwest::{
    Method, StatusCode,
    header::{ETAG, HeaderValue, IF_NONE_MATCH},
};

use super::{
    ask::{Interrupts, Watched},
    download::Downloads,
    ending::Ending,
    error::ClientError,
    printed::{self, plain},
    screen::Screen,
    server::RemoteServer,
    told::ToldImport,
};
use crate::base::config::WaitArgs;

/// How long the server may wait for news. Proxies end requests that take longer than a minute.
const WAIT_SECONDS: u64 = 30;

/// A server that is about to stop answers a wait at once.
const SHORTEST_WAIT: Duration = Duration::from_secs(1);

/// An import that was made or started.
#[derive(Clone, Debug)]
pub struct Begun {
    pub told: ToldImport,
    /// Of several sources, the one that it was made of, as messages call it.
    pub source: Option<String>,
}

impl Begun {
    /// What it is called in messages.
    fn name(&self) -> &str {
        self.source.as_deref().unwrap_or(&self.told.import.file_name)
    }

    /// A line on standard output about it.
    fn line(&self, text: &str) -> String {
        match &self.source {
            Some(source) => format!("{}\t{text}", plain(source)),
            None => text.to_owned(),
        }
    }
}

/// Imports whose end is awaited.
pub struct Following<'f> {
    pub server: &'f RemoteServer,
    pub screen: &'f Screen,
    pub wait: &'f WaitArgs,
    pub downloads: &'f Downloads,
    /// Those that are not over.
    running: RefCell<Vec<Begun>>,
    worst: Cell<Ending>,
}

impl<'f> Following<'f> {
    pub fn new(
        server: &'f RemoteServer,
        screen: &'f Screen,
        wait: &'f WaitArgs,
        downloads: &'f Downloads,
    ) -> Self {
        let (running, worst) = (RefCell::new(Vec::new()), Cell::new(Ending::Completed));
        Self { server, screen, wait, downloads, running, worst }
    }

    /// Waits until each is over, and prints what became of it, in this order. Ctrl-C asks whether to cancel them.
    pub async fn all(self, imports: Vec<Begun>, interrupts: &mut Interrupts) -> Result<Ending, ClientError> {
        if self.wait.no_wait {
            return Ok(self.worst());
        }
        self.running.replace(imports.clone());
        let mut work = pin!(self.each(&imports));
        let mut is_cancelled = false;
        loop {
            let question = || if is_cancelled { None } else { self.question() };
            match interrupts.watch(work.as_mut(), self.screen, question).await {
                Watched::Done(done) => return done.map(|()| self.worst.get()),
                Watched::Yes => {
                    is_cancelled = true;
                    self.cancel().await;
                }
                Watched::Left => break,
            }
        }
        self.screen.end();
        if self.running.borrow().is_empty() {
            printed::complain("Stopped.");
        }
        self.leave(&self.running.borrow());
        Ok(Ending::Other)
    }

    /// Says where imports are that are no longer waited for.
    pub fn leave(&self, imports: &[Begun]) {
        for import in imports {
            let page = self.server.page(import.told.id);
            printed::complain(&format!("The import of {} keeps running: {page}", import.name()));
        }
    }

    /// Prints the id of an import that was made, and the address of its page. As JSON, only what is not waited for: the
    /// end of the others has both.
    pub fn print_begun(&self, import: &Begun, is_awaited: bool) {
        let told = &import.told;
        let printed = match (self.wait.json, is_awaited) {
            (true, true) => Ok(()),
            (true, false) => printed::line(&told.json()),
            (false, _) => printed::line(&import.line(&format!("{}\t{}", told.id, self.server.page(told.id)))),
        };
        match printed {
            Ok(()) | Err(ClientError::NobodyReads) => {}
            Err(error) => {
                self.worst.set(Ending::Other);
                printed::complain(&error.to_string());
            }
        }
    }

    /// The worst ending so far.
    pub fn worst(&self) -> Ending {
        self.worst.get()
    }

    async fn each(&self, imports: &[Begun]) -> Result<(), ClientError> {
        for import in imports {
            self.screen.name_source(import.source.as_deref());
            let ended = match self.until_over(import).await {
                Ok(ended) => self.print_end(&ended).await,
                Err(error) => Err(error),
            };
            self.screen.end();
            let id = import.told.id;
            if let Err(error) = ended {
                self.worst.set(Ending::Other);
                printed::complain(&format!("{}: {error} Its page: {}", import.name(), self.server.page(id)));
            }
            self.running.borrow_mut().retain(|running| running.told.id != id);
        }
        Ok(())
    }

    /// Waits until an import is over, however often the connection is lost.
    async fn until_over(&self, begun: &Begun) -> Result<Begun, ClientError> {
        let (path, seconds) = (format!("imports/{}", begun.told.id), WAIT_SECONDS.to_string());
        let wait = [("wait", seconds.as_str())];
        let (mut known, mut failed): (Option<HeaderValue>, u32) = (None, 0);
        let mut has_said_that_nobody_took_it = false;
        loop {
            let request = match &known {
                Some(tag) => self.server.request_with(Method::GET, &path, &wait).header(IF_NONE_MATCH, tag),
                None => self.server.request(Method::GET, &path),
            };
            let asked_at = Instant::now();
            let patience = self.server.times.silence + Duration::from_secs(WAIT_SECONDS);
            let answer = match self.server.answer(request, patience).await {
                Ok(answer) => answer,
                Err(error) if error.is_passing() => {
                    failed = failed.saturating_add(1);
                    self.screen.lost(&error);
                    self.server.rest(error.pause(failed)).await;
                    continue;
                }
                Err(error) => return Err(error),
            };
            failed = 0;
            if answer.status == StatusCode::NOT_MODIFIED {
                self.server.rest(SHORTEST_WAIT.saturating_sub(asked_at.elapsed())).await;
                continue;
            }
            known = answer.headers.get(ETAG).cloned();
            let now = Begun { told: self.server.told(&answer)?, source: begun.source.clone() };
            let import = &now.told.import;
            if import.ending(false).is_some() {
                return Ok(now);
            }
            self.screen.rows(import);
            if import.is_waiting_for_a_function() && !has_said_that_nobody_took_it {
                has_said_that_nobody_took_it = true;
                self.screen.say(&format!("{}: {}", now.name(), import.state_text));
            }
            if known.is_none() {
                self.server.rest(SHORTEST_WAIT).await;
            }
        }
    }

    /// Prints what became of an import, and downloads its rows.
    async fn print_end(&self, ended: &Begun) -> Result<(), ClientError> {
        let told = &ended.told;
        let ending = told.import.ending(self.wait.fail_on_rows).unwrap_or(Ending::Other);
        self.worst.set(self.worst.get().max(ending));
        self.screen.end();
        if self.screen.is_terminal() || ending != Ending::Completed {
            printed::complain(&format!("{}: {}", ended.name(), told.import.state_line()));
        }
        let saved = self.downloads.save(told, self.server, self.screen).await;
        let output = || told.import.output().map(|output| ended.line(&output));
        let line = if self.wait.json { Some(told.json()) } else { output() };
        match line.map_or(Ok(()), |line| printed::line(&line)) {
            // The exit code still tells how it ended.
            Ok(()) | Err(ClientError::NobodyReads) => saved,
            Err(error) => Err(error),
        }
    }

    fn question(&self) -> Option<String> {
        match self.running.borrow().as_slice() {
            [] => None,
            [one] => Some(format!("Cancel the import of {}?", one.name())),
            several => Some(format!("Cancel {} imports?", several.len())),
        }
    }

    async fn cancel(&self) {
        let running = self.running.borrow().clone();
        for import in running {
            let path = format!("imports/{}/cancel", import.told.id);
            if let Err(error) = self.server.ask(|| self.server.request(Method::POST, &path)).await {
                printed::complain(&format!("{} was not cancelled: {error}", import.name()));
            }
        }
        self.screen.end_question();
    }
}
