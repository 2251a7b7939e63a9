//! Deadlines for a database that does not answer.

use std::time::Duration;

use actix_web::{
    Error,
    body::MessageBody,
    dev::{ServiceRequest, ServiceResponse},
    middleware::Next,
};

use crate::store;

/// How long a request waits for a database that does not answer: with all else, it is answered within 5 s.
const STATEMENT_WITHIN: Duration = Duration::from_secs(3);

/// Gives up a statement that takes longer, and waits for none after it; the answer then says so.
pub async fn with_the_database(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    store::within(STATEMENT_WITHIN, next.call(request)).await
}
