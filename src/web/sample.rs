//! A sample file for a first import: the airports of `sample/airports.csv`, some of whose rows are broken on
//! purpose.

use actix_web::{HttpResponse, http::header::ContentType, mime, web};

use crate::{
    base::time::UnixMillis,
    files::Storage,
    http::{error::Error, principal::Principal, session},
    imports::{FileName, ImportOptions, Imports, Upload},
};

/// U.S. airports (a work of the U.S. Government, Data.gov) with five broken rows.
const BYTES: &[u8] = include_bytes!("../../sample/airports.csv");

pub const NAME: &str = "airports.csv";

/// Its description on the empty dashboard.
pub const IN_WORDS: &str = "3,376 airports, 210 KB";

/// How many lines the empty dashboard shows.
const LINES_SHOWN: usize = 8;

/// The first lines, without the last line end.
pub fn first_lines() -> &'static str {
    let end = BYTES.iter().enumerate().filter(|(_, byte)| **byte == b'\n').nth(LINES_SHOWN - 1);
    let front = &BYTES[..end.map_or(BYTES.len(), |(at, _)| at)];
    std::str::from_utf8(front).unwrap_or_default().trim_end()
}

/// `GET /sample.csv`: the whole file as text that a browser shows.
pub async fn show(_user: Principal) -> HttpResponse {
    HttpResponse::Ok().content_type(ContentType(mime::TEXT_PLAIN_UTF_8)).body(BYTES)
}

/// `POST /imports/sample`: imports the file as if the user had uploaded it.
pub async fn import(
    user: Principal,
    imports: web::Data<Imports>,
    storage: web::Data<Storage>,
) -> Result<HttpResponse, Error> {
    let receiving_at = UnixMillis::now();
    let size = BYTES.len() as u64;
    let _reservation = imports.quota().reserve(user.user, size).await?.map_err(|_| Error::OverQuota)?;
    let mut file = storage.receive_upload(size).await?;
    file.write(BYTES).await?;
    let upload = Upload { file_name: FileName::from_client(NAME), receiving_at, file };
    let accepted = imports.accept(user.user, upload, ImportOptions::default()).await?;
    Ok(session::see_other(&format!("/imports/{}", accepted.id)))
}
