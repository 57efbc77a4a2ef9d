//! Compression of responses: gzip, brotli or zstd, as the caller accepts them.
//!
//! A response is compressed as a whole before any of it is sent, so its length is known. The encoders' windows are no
//! larger than the body: with its usual window, a brotli encoder takes 10 MB for a page of 20 kB. At most as many long
//! bodies are compressed at once as there are cores, and bodies that never change are compressed once.

use std::collections::HashMap;
use std::io::{self, Read};
use std::pin::Pin;
use std::sync::{LazyLock, Mutex, PoisonError};
use std::task::{Context, Poll};

use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::StatusCode;
use actix_web::http::header::{
    AcceptEncoding, CONTENT_ENCODING, ContentEncoding, Encoding, Header, HeaderValue,
};
use actix_web::middleware::Next;
use actix_web::web::Bytes;
use actix_web::{Error, web};
use tokio::sync::Semaphore;

use crate::problem::ApiError;

/// A body of at most this many bytes is compressed on the thread of its request: that takes a millisecond at most.
const SHORT: usize = 64 * 1024;

/// Bytes that leave a response at once. The HTTP library copies them, so a caller who does not read holds no more.
const SLICE: usize = 64 * 1024;

/// Permits for compressing long bodies.
static LONG_BODIES: LazyLock<Semaphore> =
    LazyLock::new(|| Semaphore::new(std::thread::available_parallelism().map_or(1, usize::from)));

/// Marks a response whose body is always the same, and names it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Constant(pub String);

/// The compressed forms of constant bodies.
static CONSTANTS: LazyLock<Mutex<HashMap<(Constant, ContentEncoding), Bytes>>> =
    LazyLock::new(Mutex::default);

/// Compresses the response as the caller accepts it.
///
/// # Errors
/// [`ApiError::Refused`] with 406 where the caller accepts no encoding at all.
pub(crate) async fn compress(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let Some(encoding) = negotiated(&request) else {
        return Ok(request.error_response(ApiError::Refused(StatusCode::NOT_ACCEPTABLE)));
    };
    let (request, response) = next.call(request).await?.into_parts();
    let (mut response, body) = response.into_parts();
    let body = match body.try_into_bytes() {
        Ok(body) => body,
        // A stream: this service sends none, and its length is not known.
        Err(body) => return Ok(ServiceResponse::new(request, response.set_body(body).map_into_boxed_body())),
    };
    let is_encoded = response.headers().contains_key(CONTENT_ENCODING);
    let body = if body.is_empty() || is_encoded || encoding == ContentEncoding::Identity {
        body
    } else {
        let constant = response.extensions().get::<Constant>().cloned();
        let compressed = compressed(body, encoding, constant).await?;
        response.headers_mut().insert(CONTENT_ENCODING, HeaderValue::from_static(encoding.as_str()));
        compressed
    };
    Ok(ServiceResponse::new(request, response.set_body(BoxBody::new(Sliced(body)))))
}

/// The encoding that the caller prefers among ours; none where it accepts none.
fn negotiated(request: &ServiceRequest) -> Option<ContentEncoding> {
    const OURS: [Encoding; 4] = [
        Encoding::Known(ContentEncoding::Identity),
        Encoding::Known(ContentEncoding::Brotli),
        Encoding::Known(ContentEncoding::Gzip),
        Encoding::Known(ContentEncoding::Zstd),
    ];
    let accepted = AcceptEncoding::parse(request).ok().filter(|AcceptEncoding(list)| !list.is_empty());
    let Some(accepted) = accepted else { return Some(ContentEncoding::Identity) };
    match accepted.negotiate(OURS.iter()) {
        Some(Encoding::Known(encoding)) => Some(encoding),
        _ => None,
    }
}

async fn compressed(
    body: Bytes,
    encoding: ContentEncoding,
    constant: Option<Constant>,
) -> Result<Bytes, ApiError> {
    let internal = |error: io::Error| feed_core::Error::Internal(Box::new(error));
    let Some(constant) = constant else {
        if body.len() <= SHORT {
            return Ok(encode(&body, encoding).map_err(internal)?);
        }
        let permit = LONG_BODIES.acquire().await;
        let done = web::block(move || encode(&body, encoding)).await;
        drop(permit);
        return Ok(done.map_err(|error| feed_core::Error::Internal(Box::new(error)))?.map_err(internal)?);
    };
    let mut constants = CONSTANTS.lock().unwrap_or_else(PoisonError::into_inner);
    let key = (constant, encoding);
    if let Some(known) = constants.get(&key) {
        return Ok(known.clone());
    }
    // Once for each encoding. Others wait for the lock meanwhile, instead of doing the same.
    let done = encode(&body, encoding).map_err(internal)?;
    constants.insert(key, done.clone());
    Ok(done)
}

/// Compresses a whole body, with the effort that pays off for text of this size.
fn encode(body: &[u8], encoding: ContentEncoding) -> io::Result<Bytes> {
    let mut out = Vec::with_capacity(body.len() / 3 + 64);
    match encoding {
        ContentEncoding::Gzip => {
            // A page of 15 kB takes 30 µs and 4.7 kB at level 1, 53 µs and 3.8 kB at 2, 71 µs and 3.7 kB at 3.
            flate2::read::GzEncoder::new(body, flate2::Compression::new(2)).read_to_end(&mut out)?;
        }
        ContentEncoding::Brotli => {
            // The smallest window, in powers of two, that holds the body: from 10 to 22.
            let window = body.len().next_power_of_two().ilog2().clamp(10, 22);
            brotli::CompressorReader::new(body, 4096, 3, window).read_to_end(&mut out)?;
        }
        ContentEncoding::Zstd => out = zstd::bulk::compress(body, 3)?,
        _ => out.extend_from_slice(body),
    }
    Ok(Bytes::from(out))
}

/// A body that leaves in slices.
struct Sliced(Bytes);

impl MessageBody for Sliced {
    type Error = std::convert::Infallible;

    fn size(&self) -> BodySize {
        BodySize::Sized(self.0.len() as u64)
    }

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Bytes, Self::Error>>> {
        let length = self.0.len().min(SLICE);
        Poll::Ready((length > 0).then(|| Ok(self.0.split_to(length))))
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::{ContentEncoding, encode};

    #[test]
    fn what_is_compressed_comes_back() {
        for length in [1, 100, 70_000, 5_000_000] {
            let body: Vec<u8> =
                b"Fresh bread, every day from six. ".iter().copied().cycle().take(length).collect();
            let of = |encoding| encode(&body, encoding).unwrap();
            let mut text = Vec::new();
            flate2::read::GzDecoder::new(&of(ContentEncoding::Gzip)[..]).read_to_end(&mut text).unwrap();
            assert!(text == body);
            text.clear();
            brotli::Decompressor::new(&of(ContentEncoding::Brotli)[..], 4096).read_to_end(&mut text).unwrap();
            assert!(text == body);
            assert!(zstd::bulk::decompress(&of(ContentEncoding::Zstd), length).unwrap() == body);
            assert!(length < 1_000 || of(ContentEncoding::Brotli).len() < length / 10);
        }
    }
}
