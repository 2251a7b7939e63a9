//! `GET /api`: what programs can do here, and how. Made of the same document that they can load.

use actix_web::{HttpResponse, http::header::ContentType, web};
use askama::Template;

use crate::{
    http::{
        api_reference::{ApiReference, PROBLEMS, ProblemKind},
        error::Error,
        principal::Principal,
    },
    web::{site::Site, views::Frame},
};

#[derive(Clone, Debug, Template)]
#[template(path = "pages/api.html")]
pub struct ApiPage<'a> {
    pub frame: Frame,
    pub reference: &'a ApiReference,
    pub problems: &'static [ProblemKind],
}

impl<'a> ApiPage<'a> {
    #[must_use]
    pub fn new(frame: Frame, reference: &'a ApiReference) -> Self {
        Self { frame, reference, problems: &PROBLEMS }
    }
}

pub async fn show(
    user: Principal,
    site: web::Data<Site>,
    reference: web::Data<ApiReference>,
) -> Result<HttpResponse, Error> {
    let page = ApiPage::new(site.frame(&user), &reference);
    Ok(HttpResponse::Ok().content_type(ContentType::html()).body(page.render()?))
}
