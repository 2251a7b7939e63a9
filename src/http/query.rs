//! The queries of programs.

use std::{future::Future, pin::Pin};

use actix_web::{FromRequest, HttpRequest, dev::Payload, web};
use serde::{Deserialize, de::DeserializeOwned};

use super::{object::Object, problem::Problem};

/// Extractor of a query whose sender `W` checks. As with a body, it is judged only once its sender is known.
#[derive(Clone, Debug)]
pub struct QueryOf<W, T> {
    pub by: W,
    pub value: T,
}

/// The query, or the object in a body, of a route that takes none.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoFields {}

impl<W, T> FromRequest for QueryOf<W, T>
where
    W: FromRequest<Error = Problem> + 'static,
    T: DeserializeOwned + 'static,
{
    type Error = Problem;
    type Future = Pin<Box<dyn Future<Output = Result<Self, Problem>>>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let request = request.clone();
        Box::pin(async move {
            let by = W::from_request(&request, &mut Payload::None).await?;
            Ok(Self { by, value: parse(&request)? })
        })
    }
}

/// The query of a request.
///
/// # Errors
/// It has an unknown field, or a wrong value.
pub fn parse<T: DeserializeOwned>(request: &HttpRequest) -> Result<T, Problem> {
    let query = web::Query::<Object<T>>::from_query(request.query_string());
    query.map(|query| query.into_inner().0).map_err(|why| Problem::from_query(&why))
}

/// # Errors
/// The request has a query.
pub fn none(request: &HttpRequest) -> Result<(), Problem> {
    parse(request).map(|NoFields {}| ())
}
