//! The other replicas hear what a request has changed before its sender gets the answer, and may ask one of them.

use actix_web::{
    Error,
    body::MessageBody,
    dev::{ServiceRequest, ServiceResponse},
    middleware::Next,
    web,
};

use crate::replicas::Bus;

pub async fn before_the_answer(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let bus = (!request.method().is_safe()).then(|| request.app_data::<web::Data<Bus>>().cloned()).flatten();
    let answer = next.call(request).await;
    if let Some(bus) = bus {
        bus.flush().await;
    }
    answer
}
