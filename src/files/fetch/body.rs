//! The bytes of an answer, decoded as its `Content-Encoding` says (RFC 9110, 8.4).

use bytes::Bytes;
use reqwest::{Response, header};
use tokio::sync::mpsc;

use super::FetchError;
use crate::files::{Packing, UnpackError, Unpacking};

/// The body of an answer.
pub(super) struct Body {
    response: Response,
    decoding: Option<Decoding>,
}

/// A body that is decoded on a thread of its own.
struct Decoding {
    /// None once all bytes were sent, or no more are wanted.
    encoded: Option<mpsc::Sender<Bytes>>,
    decoded: Unpacking,
}

impl Body {
    /// The body of `response`, up to `limit` decoded bytes. Nothing was asked to be encoded, but servers do it
    /// nevertheless.
    pub(super) fn of(response: Response, limit: u64) -> Result<Self, FetchError> {
        let decoding = coding(&response)?.map(|coding| {
            let (encoded, decoded) = Unpacking::of_pieces(coding, limit);
            Decoding { encoded: Some(encoded), decoded }
        });
        Ok(Self { response, decoding })
    }

    /// The size of the file in bytes, if it is announced.
    pub(super) fn total(&self) -> Option<u64> {
        self.response.content_length().filter(|_| self.decoding.is_none())
    }

    /// The next bytes; None at the end.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, FetchError> {
        let cut_off = |error: reqwest::Error| FetchError::CutOff(Some(error.without_url()));
        let Some(decoding) = &mut self.decoding else {
            return self.response.chunk().await.map_err(cut_off);
        };
        loop {
            let Some(encoded) = &decoding.encoded else {
                return decoding.decoded.next().await.map_err(not_decoded);
            };
            let place = tokio::select! {
                block = decoding.decoded.next() => return block.map_err(not_decoded),
                place = encoded.clone().reserve_owned() => place,
            };
            // The decoder has failed, and says why.
            let Ok(place) = place else {
                decoding.encoded = None;
                continue;
            };
            match self.response.chunk().await.map_err(cut_off)? {
                Some(bytes) => {
                    place.send(bytes);
                }
                None => decoding.encoded = None,
            }
        }
    }
}

/// How the body is encoded; None if it is not.
fn coding(response: &Response) -> Result<Option<Packing>, FetchError> {
    let values = response.headers().get_all(header::CONTENT_ENCODING).into_iter();
    let named = values.flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
    let mut coding = None;
    for name in named.map(<[u8]>::trim_ascii) {
        let next = match name.to_ascii_lowercase().as_slice() {
            b"" | b"identity" => continue,
            b"gzip" | b"x-gzip" => Packing::Gzip,
            b"deflate" => Packing::Deflate,
            b"br" => Packing::Brotli,
            b"zstd" => Packing::Zstandard,
            _ => return Err(FetchError::Compressed),
        };
        // No server needs two.
        if coding.replace(next).is_some() {
            return Err(FetchError::Compressed);
        }
    }
    Ok(coding)
}

fn not_decoded(error: UnpackError) -> FetchError {
    match error {
        UnpackError::TooLarge { .. } => FetchError::TooLarge,
        UnpackError::CutOff(_) => FetchError::CutOff(None),
        UnpackError::Storage(error) => FetchError::Storage(error),
        error => FetchError::Undecodable(error),
    }
}
