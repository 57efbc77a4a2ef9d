//! `ETag` state: tells cheaply whether a list has changed.
//!
//! The content of a feed depends on rows and on the clock. Every change of a row moves a version in the same
//! transaction. Changes of a user's favorites and follows move the version in that user's row. All other changes move a
//! global version; triggers in the database do this. So whoever sees a change also sees the version moved. Between two
//! changes only the clock matters, and only at moments when the validity of a flyer begins or ends. The latest such
//! moments before now identify which ones have passed.
//!
//! A validator is read before the list that it describes. A write between the two reads is in the list, but not in the
//! validator. The caller then makes one request too many, and never keeps a stale list.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::NaiveDateTime;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable, Timestamp};
use hmac::{Hmac, Mac};
use sha2::Sha256;

use crate::db::{Db, Engine};
use crate::error::{Error, Result};
use crate::signing;
use crate::sql::{Statement, Value, by_index};
use crate::users::Identity;

/// The state of everything that a viewer's lists depend on.
#[derive(Debug, Clone, Copy, Queryable)]
pub struct Validator {
    /// The version of the viewer's favorites and follows; none without a viewer.
    relations: Option<i64>,
    /// The version of all flyers and accounts.
    content: i64,
    /// When the validity of a flyer last began. PostgreSQL leaves marked flyers out, as in `ended`.
    begun: Option<NaiveDateTime>,
    /// When the validity of a flyer last ended. Flyers marked as expired are left out: the mark itself moves `content`.
    ended: Option<NaiveDateTime>,
}

/// Computes `ETag` values from validators: equal tags mean equal answers to the same request.
///
/// Tags are keyed, because a plain one would reveal how much is written. The key comes from the secret that signs
/// cursors, because a page contains signed cursors, which change with the secret.
#[derive(Clone)]
pub struct TagKey(Hmac<Sha256>);

impl std::fmt::Debug for TagKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TagKey(…)")
    }
}

impl TagKey {
    /// Derives the key from the service's secret.
    #[must_use]
    pub fn derive(secret: &[u8]) -> Self {
        Self(signing::derive(secret, "pockitflyer tag v1"))
    }

    /// The tag of the request `asked` in the state of a validator: 22 letters, digits, `-` and `_`.
    #[must_use]
    pub fn tag(&self, asked: &str, validator: &Validator) -> String {
        URL_SAFE_NO_PAD.encode(self.digest(asked, validator))
    }

    /// A digest of `asked` in the state of a validator.
    #[must_use]
    pub fn digest(&self, asked: &str, validator: &Validator) -> [u8; 16] {
        let Validator { relations, content, begun, ended } = validator;
        let micros = |time: &Option<NaiveDateTime>| time.map(|time| time.and_utc().timestamp_micros());
        let state = format!("{relations:?} {content} {:?} {:?} ", micros(begun), micros(ended));
        let mac = self.0.clone().chain_update(state).chain_update(asked).finalize().into_bytes();
        std::array::from_fn(|i| mac[i])
    }
}

/// The columns of [`query`].
pub type Columns = (Nullable<BigInt>, BigInt, Nullable<Timestamp>, Nullable<Timestamp>);

/// The query for a [`Validator`]: one row.
///
/// It probes the viewer's row, sums the few rows of `content_versions`, and reads the end of a range of two indexes.
#[must_use]
pub fn query(engine: Engine, viewer: Option<Identity>, now: NaiveDateTime) -> Statement<Columns> {
    let by = |index| by_index(engine, "flyers f", index);
    // PostgreSQL's indexes leave marked flyers out, so that a mark costs no entry in them.
    let (unmarked, has_begun) = match engine {
        Engine::Sqlite => ("expired IS NOT TRUE", ""),
        Engine::Postgres => ("expired = FALSE", "expired = FALSE AND "),
    };
    Statement::new(
        format!(
            "SELECT (SELECT relations_version FROM users WHERE id = :viewer AND token_key = :key), \
             (SELECT CAST(sum(version) AS bigint) FROM content_versions), \
             (SELECT max(valid_from) FROM {} WHERE {has_begun}valid_from <= :now), \
             (SELECT max(valid_until) FROM {} WHERE {unmarked} AND valid_until <= :now)",
            by("flyers_valid_from"),
            by("flyers_to_mark"),
        ),
        &[
            ("viewer", Value::Int(viewer.map_or(0, |viewer| viewer.id))),
            ("key", Value::Int(viewer.map_or(0, |viewer| viewer.key))),
            ("now", Value::Time(now)),
        ],
    )
    .named("validator")
}

/// Reads the state at `now` of everything that the lists of `viewer` depend on, and checks the viewer's token key.
///
/// # Errors
/// [`Error::UnknownCaller`] if the viewer's account was deleted or their token has been revoked.
pub fn current(connection: &mut Db, viewer: Option<Identity>, now: NaiveDateTime) -> Result<Validator> {
    let validator: Validator = query(connection.engine(), viewer, now).get_result(connection)?;
    match viewer {
        Some(_) if validator.relations.is_none() => Err(Error::UnknownCaller),
        _ => Ok(validator),
    }
}
