//! Tokens: JSON Web Tokens (RFC 7519) that belong to an account's key.

use chrono::NaiveDateTime;
use feed_core::users::Identity;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::extract::positive;

/// Signs and reads tokens: JWT with HS256.
#[derive(Clone)]
pub struct Tokens {
    encoding: EncodingKey,
    /// The secret's, and that of the one before where there is one.
    decoding: Vec<DecodingKey>,
    validation: Validation,
    ttl: u32,
}

impl std::fmt::Debug for Tokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tokens").field("ttl", &self.ttl).finish_non_exhaustive()
    }
}

/// What a token says.
#[derive(Debug, Serialize)]
struct Claims {
    /// The user's id; RFC 7519 wants a string.
    sub: String,
    /// The account's key in hexadecimal digits: an integer of 64 bits is none in JavaScript.
    key: String,
    iat: i64,
    exp: i64,
}

/// What a token must say to be believed, whoever made it with the secret: times are RFC 7519's
/// `NumericDate`s, which may have a fraction.
#[derive(Debug, Deserialize)]
struct Believed {
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
    /// Signs with `secret`; tokens live `ttl` seconds.
    #[must_use]
    pub fn new(secret: &[u8], ttl: u32) -> Self {
        let mut validation = Validation::new(Algorithm::HS256);
        // Expiry is judged by the service's clock, in `verify`. Nobody else takes these tokens.
        validation.validate_exp = false;
        validation.validate_aud = false;
        Self {
            encoding: EncodingKey::from_secret(secret),
            decoding: vec![DecodingKey::from_secret(secret)],
            validation,
            ttl,
        }
    }

    /// The same, which also reads tokens that an earlier secret signed, where there is one.
    #[must_use]
    pub fn with_previous(mut self, secret: Option<&[u8]>) -> Self {
        self.decoding.extend(secret.map(DecodingKey::from_secret));
        self
    }

    /// Seconds that a token lives.
    #[must_use]
    pub fn ttl(&self) -> u32 {
        self.ttl
    }

    /// A token of this account, valid from `now` on.
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

    /// Who a token that is valid at `now` says calls. Whether the account still has this key, the database knows.
    pub(crate) fn verify(&self, token: &str, now: NaiveDateTime) -> Option<Identity> {
        let believed = self.read(token)?;
        #[expect(clippy::cast_precision_loss, reason = "seconds of this epoch are exact in a float")]
        let now = now.and_utc().timestamp() as f64;
        let is_now = believed.nbf.is_none_or(|from| from <= now) && now < believed.exp;
        believed.identity().filter(|_| is_now)
    }

    /// Who a token names that one of our secrets has signed, whether it has expired or not.
    pub(crate) fn holder(&self, token: &str) -> Option<Identity> {
        self.read(token)?.identity()
    }

    /// What a token says that one of our secrets has signed.
    fn read(&self, token: &str) -> Option<Believed> {
        let read = |key| jsonwebtoken::decode::<Believed>(token, key, &self.validation).ok();
        let read = self.decoding.iter().find_map(read)?;
        // What a header declares as critical must be understood, and we understand nothing (RFC 7515 4.1.11). `b64`
        // changes what is signed (RFC 7797).
        let is_plain = read.header.crit.is_none() && read.header.extras.get::<Value>("b64").ok()?.is_none();
        is_plain.then_some(read.claims)
    }
}

impl Believed {
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
