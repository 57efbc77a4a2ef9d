//! Response bodies that hold something until they were sent.

use std::pin::Pin;
use std::task::{Context, Poll};

use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::web::Bytes;

/// A response's body. What it holds is dropped with it: after its last byte, or when the caller is gone.
#[derive(Debug)]
pub(crate) struct HeldBody<T> {
    body: BoxBody,
    _held: T,
}

impl<T> HeldBody<T> {
    /// Holds `held` until `body` was sent.
    pub(crate) fn new(body: BoxBody, held: T) -> Self {
        Self { body, _held: held }
    }
}

impl<T: Unpin> MessageBody for HeldBody<T> {
    type Error = <BoxBody as MessageBody>::Error;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Self::Error>>> {
        Pin::new(&mut self.body).poll_next(context)
    }
}
