//! Fetches a file by its address: through the [`guard`](super::guard), within limits, whole or not at all.

mod body;
mod error;

use std::{ops::ControlFlow, time::Duration};

use reqwest::{Response, StatusCode, header};
use tokio::time::timeout;
use url::Url;

use self::body::Body;
pub use self::error::FetchError;
use super::{
    Address, BinaryKind, FileName, Incoming, Packing, ShareLink, address::last_segment, connect, disposition,
};
use crate::{base::config::AllowedAddresses, csv::Encoding};

/// The longest chain of redirects that is followed.
const MOST_REDIRECTS: usize = 5;

/// A user waits for the import, so a longer `Retry-After` is cut to this.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(60 * 60);

/// Limits on time and size.
#[derive(Clone, Copy, Debug)]
pub struct FetchLimits {
    /// `RUNBOARD_MAX_UPLOAD_BYTES`.
    pub max_bytes: u64,
    /// From resolving the name to the last header of the answer, for each redirect separately.
    pub answer: Duration,
    /// This many bytes, or the rest of the file, must arrive within [`FetchLimits::stretch`]. Without this
    /// limit a server could send one byte per second.
    pub stretch_bytes: u64,
    pub stretch: Duration,
    /// For the whole fetch.
    pub whole: Duration,
}

impl FetchLimits {
    #[must_use]
    pub fn up_to(max_bytes: u64) -> Self {
        Self {
            max_bytes,
            answer: Duration::from_secs(30),
            stretch_bytes: 1 << 20,
            stretch: Duration::from_secs(30),
            // A fetch is one call, and the embedded engine aborts a call after an hour.
            whole: Duration::from_secs(55 * 60),
        }
    }
}

/// How much of a file has arrived, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FetchProgress {
    pub bytes: u64,
    /// The size of the file; None if it was not announced.
    pub total: Option<u64>,
}

/// What `fetch` reports while a file arrives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// The answer gives the file another name than the address does.
    Named(FileName),
    /// The answer says in which encoding the file is.
    Charset(Encoding),
    Bytes(FetchProgress),
}

/// Fetches files from other servers.
#[derive(Clone, Debug)]
pub struct Fetcher {
    allowed: AllowedAddresses,
    limits: FetchLimits,
}

impl Fetcher {
    #[must_use]
    pub fn new(allowed: AllowedAddresses, limits: FetchLimits) -> Self {
        Self { allowed, limits }
    }

    /// The most bytes of a file, also of one that is unpacked.
    #[must_use]
    pub fn max_bytes(&self) -> u64 {
        self.limits.max_bytes
    }

    /// Writes the file at `address` into `file` and returns it, complete and not empty, but not kept yet.
    /// `told` is called for every piece that arrives, and may stop the fetch.
    pub async fn fetch(
        &self,
        address: &Address,
        file: Incoming,
        mut told: impl FnMut(Arrival) -> ControlFlow<()>,
    ) -> Result<Incoming, FetchError> {
        let fetched = async {
            let (url, response) = self.answer(address).await?;
            if let Some(name) = other_name(address, &url, &response)
                && told(Arrival::Named(name)).is_break()
            {
                return Err(FetchError::Unwanted);
            }
            if let Some(charset) = charset(&response)
                && told(Arrival::Charset(charset)).is_break()
            {
                return Err(FetchError::Unwanted);
            }
            self.receive(response, file, told).await
        };
        timeout(self.limits.whole, fetched).await.map_err(|_| FetchError::TooLong)?
    }

    /// Follows redirects from `address`. Returns the final URL and its answer: 200, with the headers read.
    async fn answer(&self, address: &Address) -> Result<(Url, Response), FetchError> {
        // A page about the file is of no use.
        let download = ShareLink::download(address);
        let mut url = download.as_ref().unwrap_or(address).url().clone();
        for _ in 0..=MOST_REDIRECTS {
            let answer = timeout(self.limits.answer, self.ask(&url)).await;
            let response = answer.map_err(|_| FetchError::NoAnswer)??;
            match response.status() {
                StatusCode::OK => return Ok((url, response)),
                status if leads_on(status) => url = next_hop(&url, &response)?,
                status => return Err(refused(status, &response)),
            }
        }
        Err(FetchError::TooManyRedirects)
    }

    /// Requests one address, at an IP address that was checked, and follows no redirect.
    async fn ask(&self, url: &Url) -> Result<Response, FetchError> {
        let addresses = connect::resolve(url, &self.allowed).await?;
        let client = connect::client(url, addresses).map_err(FetchError::NoTls)?;
        let request = client
            .get(url.clone())
            .header(header::ACCEPT, "text/csv, text/plain;q=0.9, */*;q=0.8")
            .header(header::ACCEPT_ENCODING, "identity");
        request.send().await.map_err(|error| {
            // The URL is too long for a request.
            if error.is_builder() {
                FetchError::RedirectToNowhere
            } else if url.scheme() == "https" && error.is_connect() {
                FetchError::UnreachableByHttps(error.without_url())
            } else {
                FetchError::Unreachable(error.without_url())
            }
        })
    }

    /// Reads the body.
    async fn receive(
        &self,
        response: Response,
        mut file: Incoming,
        mut told: impl FnMut(Arrival) -> ControlFlow<()>,
    ) -> Result<Incoming, FetchError> {
        let mut body = Body::of(response, self.limits.max_bytes)?;
        let total = body.total();
        if total.is_some_and(|total| total > self.limits.max_bytes) {
            return Err(FetchError::TooLarge);
        }
        if told(Arrival::Bytes(FetchProgress { bytes: 0, total })).is_break() {
            return Err(FetchError::Unwanted);
        }
        loop {
            let stretch = self.receive_stretch(&mut body, &mut file, total, &mut told);
            let is_whole = timeout(self.limits.stretch, stretch).await.map_err(|_| FetchError::TooSlow)??;
            if is_whole {
                break;
            }
        }
        if total.is_some_and(|total| total != file.size()) {
            return Err(FetchError::CutOff(None));
        }
        match BinaryKind::sniff(file.head()) {
            _ if file.size() == 0 => Err(FetchError::Empty),
            Some(kind) if Packing::of(kind).is_none() => Err(FetchError::Binary(kind)),
            Some(_) | None => Ok(file),
        }
    }

    /// Reads [`FetchLimits::stretch_bytes`], or up to the end of the file. Returns whether the file has
    /// ended.
    async fn receive_stretch(
        &self,
        body: &mut Body,
        file: &mut Incoming,
        total: Option<u64>,
        told: &mut impl FnMut(Arrival) -> ControlFlow<()>,
    ) -> Result<bool, FetchError> {
        let end = file.size() + self.limits.stretch_bytes;
        while file.size() < end {
            let Some(bytes) = body.next().await? else { return Ok(true) };
            if file.size() + bytes.len() as u64 > self.limits.max_bytes {
                return Err(FetchError::TooLarge);
            }
            file.write(&bytes).await?;
            if told(Arrival::Bytes(FetchProgress { bytes: file.size(), total })).is_break() {
                return Err(FetchError::Unwanted);
            }
        }
        Ok(false)
    }
}

fn leads_on(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::MOVED_PERMANENTLY
            | StatusCode::FOUND
            | StatusCode::SEE_OTHER
            | StatusCode::TEMPORARY_REDIRECT
            | StatusCode::PERMANENT_REDIRECT
    )
}

/// The error for an answer without a file. Keeps the `Retry-After`, if there is one.
fn refused(status: StatusCode, response: &Response) -> FetchError {
    let seconds =
        response.headers().get(header::RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
    match (status, seconds.map(Duration::from_secs)) {
        (StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE, Some(retry_after)) => {
            FetchError::Busy { status, retry_after: retry_after.min(LONGEST_RETRY_AFTER) }
        }
        _ => FetchError::Status(status),
    }
}

/// The file name that the answer gives: from its headers, or from the target of a redirect if that has an
/// extension and the address has none.
fn other_name(address: &Address, url: &Url, response: &Response) -> Option<FileName> {
    let header = response.headers().get(header::CONTENT_DISPOSITION);
    let given = header.and_then(|header| disposition::file_name(header.as_bytes()));
    let name = given.or_else(|| {
        let has_extension = |name: &String| name.contains('.');
        let is_named = last_segment(address.url()).is_some_and(|name| has_extension(&name));
        last_segment(url).filter(has_extension).filter(|_| !is_named)
    })?;
    Some(FileName::from_client(&name))
}

/// The encoding in the `Content-Type`, if it is a known one.
fn charset(response: &Response) -> Option<Encoding> {
    let header = response.headers().get(header::CONTENT_TYPE)?.to_str().ok()?;
    header.split(';').skip(1).find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        let is_charset = name.trim().eq_ignore_ascii_case("charset");
        is_charset.then(|| Encoding::labelled(value.trim().trim_matches('"')))?
    })
}

fn next_hop(url: &Url, response: &Response) -> Result<Url, FetchError> {
    let location = response.headers().get(header::LOCATION).and_then(|location| location.to_str().ok());
    location.and_then(|location| url.join(location).ok()).ok_or(FetchError::RedirectToNowhere)
}
