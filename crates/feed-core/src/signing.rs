//! Derives signing keys from the service's secret.
//!
//! Each purpose has its own label, and so its own key. A key does not accept what another one signed.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// Derives the key for `label` from `secret`.
pub(crate) fn derive(secret: &[u8], label: &str) -> Hmac<Sha256> {
    let key = keyed(secret).chain_update(label).finalize().into_bytes();
    keyed(&key)
}

fn keyed(key: &[u8]) -> Hmac<Sha256> {
    match Hmac::new_from_slice(key) {
        Ok(mac) => mac,
        Err(_) => unreachable!("HMAC accepts keys of any length"),
    }
}
