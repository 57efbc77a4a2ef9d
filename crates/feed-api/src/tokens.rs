//! Access tokens: JSON Web Tokens (RFC 7519) that are bound to an account's key.

use chrono::NaiveDateTime;
use feed_core::users::Identity;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::ids::positive;

/// Signs and verifies tokens: JWT with HS256.
#[derive(Clone)]
pub struct Tokens {
    encoding: EncodingKey,
    /// Keys of the current secret and, where there is one, of the previous secret.
    decoding: Vec<DecodingKey>,
    validation: Validation,
    ttl: u32,
}

impl std::fmt::Debug for Tokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tokens").field("ttl", &self.ttl).finish_non_exhaustive()
    }
}

/// The claims of a token that we issue.
#[derive(Debug, Serialize)]
struct Claims {
    /// The user's id. RFC 7519 requires a string.
    sub: String,
    /// The account's key in hexadecimal digits, because JavaScript's numbers cannot hold 64-bit integers.
    key: String,
    iat: i64,
    exp: i64,
}

/// The claims that we read, from a token of any issuer that has the secret. Times are RFC 7519's `NumericDate`s, which
/// may have a fraction.
#[derive(Debug, Deserialize)]
struct ReadClaims {
    sub: Subject,
    key: Option<String>,
    exp: f64,
    nbf: Option<f64>,
}

/// A user's id, as a string or as a number.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Subject {
    Text(String),
    Number(i64),
}

impl Tokens {
    /// Signs with `secret`. Tokens are valid for `ttl` seconds.
    #[must_use]
    pub fn new(secret: &[u8], ttl: u32) -> Self {
        let mut validation = Validation::new(Algorithm::HS256);
        // `verify` checks the expiry by the service's clock. Tokens have no audience: no other service accepts them.
        validation.validate_exp = false;
        validation.validate_aud = false;
        Self {
            encoding: EncodingKey::from_secret(secret),
            decoding: vec![DecodingKey::from_secret(secret)],
            validation,
            ttl,
        }
    }

    /// Also accepts tokens that the previous secret has signed, where there is one.
    #[must_use]
    pub fn with_previous(mut self, secret: Option<&[u8]>) -> Self {
        self.decoding.extend(secret.map(DecodingKey::from_secret));
        self
    }

    /// Seconds for which a token is valid.
    #[must_use]
    pub fn ttl(&self) -> u32 {
        self.ttl
    }

    /// Issues a token for this account, valid from `now` on.
    ///
    /// # Errors
    /// [`feed_core::Error::Internal`] when it cannot be signed.
    pub fn issue(&self, account: Identity, now: NaiveDateTime) -> feed_core::Result<String> {
        let iat = now.and_utc().timestamp();
        let claims = Claims {
            sub: account.id.to_string(),
            key: format!("{:016x}", account.key),
            iat,
            exp: iat + i64::from(self.ttl),
        };
        jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &self.encoding)
            .map_err(|e| feed_core::Error::Internal(Box::new(e)))
    }

    /// The identity in a token that is valid at `now`. Only the database knows whether the account still has this key.
    pub(crate) fn verify(&self, token: &str, now: NaiveDateTime) -> Option<Identity> {
        let claims = self.read(token)?;
        #[expect(clippy::cast_precision_loss, reason = "seconds of this epoch are exact in a float")]
        let now = now.and_utc().timestamp() as f64;
        let is_now = claims.nbf.is_none_or(|from| from <= now) && now < claims.exp;
        claims.identity().filter(|_| is_now)
    }

    /// The identity in a token that one of our secrets has signed, even if the token has expired.
    pub(crate) fn holder(&self, token: &str) -> Option<Identity> {
        self.read(token)?.identity()
    }

    /// The claims of a token that one of our secrets has signed.
    fn read(&self, token: &str) -> Option<ReadClaims> {
        let read = |key| jsonwebtoken::decode::<ReadClaims>(token, key, &self.validation).ok();
        let read = self.decoding.iter().find_map(read)?;
        // A header's critical extensions must be understood, and we know none (RFC 7515 4.1.11). `b64` changes what is
        // signed (RFC 7797).
        let is_plain = read.header.crit.is_none() && read.header.extras.get::<Value>("b64").ok()?.is_none();
        is_plain.then_some(read.claims)
    }
}

impl ReadClaims {
    /// None without a key: tokens of earlier versions had none.
    fn identity(&self) -> Option<Identity> {
        let id = match &self.sub {
            Subject::Text(text) => positive(text)?,
            Subject::Number(id) => *id,
        };
        let key = u64::from_str_radix(self.key.as_deref()?, 16).ok()?.cast_signed();
        Some(Identity { id, key })
    }
}
