//! Deadlines for a database that does not answer.

use std::time::Duration;

use actix_web::{
    Error,
    body::MessageBody,
    dev::{ServiceRequest, ServiceResponse},
    middleware::Next,
};

use crate::store;

/// How long a request waits for a hanging database, so that it is answered within 5 s in all.
const STATEMENT_WITHIN: Duration = Duration::from_secs(3);

/// Abandons a statement that takes longer, and waits for no further one; the answer then says so.
pub async fn with_the_database(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    store::within(STATEMENT_WITHIN, next.call(request)).await
}
