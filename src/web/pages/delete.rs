//! `GET, POST /imports/{id}/delete`: deletes an import with its files, after a confirmation.

use actix_web::{HttpRequest, HttpResponse, http::header::ContentType, web};
use askama::Template;

use crate::{
    base::ids::ImportId,
    http::{delete::delete, error::Error, origin::PublicOrigin, principal::OwnedImport, session},
    imports::{Imports, RunSnapshot, Snapshot},
    report::format::{bytes, counted},
    web::{
        flash::{self, Flash},
        pages::import::From,
        site::Site,
        views::Frame,
    },
};

#[derive(Clone, Debug, Template)]
#[template(path = "pages/delete.html")]
pub struct DeletePage<'a> {
    pub frame: Frame,
    pub import_id: ImportId,
    /// `?from=` with the part of the history that led here, or empty.
    pub way_back: String,
    pub file_name: &'a str,
    /// The things that will be deleted.
    pub goes: Vec<String>,
    /// The import was run again, and that new import stays.
    pub is_run_again: bool,
}

impl<'a> DeletePage<'a> {
    #[must_use]
    pub fn new(frame: Frame, import: &'a Snapshot) -> Self {
        let mut goes = vec![match &import.fetched_from {
            Some(from) => format!("The file fetched from {}", from.host),
            None => format!("The file, {}", bytes(import.row.size_bytes)),
        }];
        // Runs of other people's functions store nothing here.
        for counts in import.runs.iter().filter(|run| run.is_ours()).filter_map(RunSnapshot::counts) {
            let some = |count: u64, kind: &str| (count > 0).then(|| counted(count, kind));
            goes.extend(some(counts.processed, "processed row"));
            let reasons = if counts.failed == 1 { "its reason" } else { "their reasons" };
            goes.extend(some(counts.failed, "failed row").map(|rows| format!("{rows} and {reasons}")));
        }
        goes.push("Its entry in the history".to_owned());
        Self {
            frame,
            import_id: import.row.id,
            way_back: String::new(),
            file_name: import.file_name(),
            goes,
            is_run_again: !import.retries.is_empty(),
        }
    }
}

pub async fn show(
    OwnedImport { principal, import }: OwnedImport,
    from: web::Query<From>,
    site: web::Data<Site>,
) -> Result<HttpResponse, Error> {
    if !import.state().is_final() {
        return Err(Error::NotOver);
    }
    let page = DeletePage {
        way_back: from.history().way_back(),
        ..DeletePage::new(site.frame(&principal), &import)
    };
    Ok(HttpResponse::Ok().content_type(ContentType::html()).body(page.render()?))
}

pub async fn submit(
    request: HttpRequest,
    OwnedImport { import, .. }: OwnedImport,
    from: web::Query<From>,
    imports: web::Data<Imports>,
    origin: web::Data<PublicOrigin>,
) -> Result<HttpResponse, Error> {
    let file_name = import.file_name().to_owned();
    delete(&import, &imports).await?;
    let mut response = session::see_other(&from.history().section_path());
    flash::send(&request, &mut response, &origin, &Flash::Deleted(file_name));
    Ok(response)
}
