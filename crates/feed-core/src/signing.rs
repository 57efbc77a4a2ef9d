//! Keys of the service's secret, each under a label of its own: what one signs, no other accepts.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// The key that `secret` gives under `label`.
pub(crate) fn derive(secret: &[u8], label: &str) -> Hmac<Sha256> {
    let key = keyed(secret).chain_update(label).finalize().into_bytes();
    keyed(&key)
}

fn keyed(key: &[u8]) -> Hmac<Sha256> {
    match Hmac::new_from_slice(key) {
        Ok(mac) => mac,
        Err(_) => unreachable!("HMAC takes keys of any length"),
    }
}
