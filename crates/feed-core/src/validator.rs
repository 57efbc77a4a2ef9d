//! What says that a list of flyers is still as a caller has it, for a fraction of what reading it costs.
//!
//! All that a feed shows follows from rows and from the clock. Rows change in transactions that move a version: the
//! caller's favorites and follows one of the caller's own row, everything else one that is everybody's. The database
//! moves the latter by triggers, in the writer's transaction: whoever sees the change sees the version moved. Between
//! two changes only the clock tells, and only where a validity begins or ends: the latest such moments before now say
//! which ones have passed.
//!
//! A validator is read before the list that it stands for. What is written between the two shows in the list and not in
//! the validator: the caller then asks once too often and never has a stale list.

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

/// The state of all that a viewer's lists are made of.
#[derive(Debug, Clone, Copy, Queryable)]
pub struct Validator {
    /// Of the viewer's favorites and follows; none without a viewer.
    relations: Option<i64>,
    /// Of all flyers and accounts.
    content: i64,
    /// When a validity last began.
    begun: Option<NaiveDateTime>,
    /// When one last ended, of a flyer that is not marked as expired: the mark itself moves `content`.
    ended: Option<NaiveDateTime>,
}

/// Makes tags of validators: equal ones stand for equal answers to the same question.
///
/// Keyed, since a tag would tell anybody how much is written; and by the secret that signs cursors: with another one
/// the links of a page are others too.
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

    /// The tag of what is `asked`, in the state of a validator: 22 letters, digits, `-` and `_`.
    #[must_use]
    pub fn tag(&self, asked: &str, validator: &Validator) -> String {
        let Validator { relations, content, begun, ended } = validator;
        let state = format!("{relations:?} {content} {begun:?} {ended:?} ");
        let mac = self.0.clone().chain_update(state).chain_update(asked).finalize().into_bytes();
        URL_SAFE_NO_PAD.encode(&mac[..16])
    }
}

/// The columns of [`query`].
pub type Columns = (Nullable<BigInt>, BigInt, Nullable<Timestamp>, Nullable<Timestamp>);

/// One row: a probe of the viewer's row, the few rows of `content_versions`, and the end of a range of two indexes.
#[must_use]
pub fn query(engine: Engine, viewer: Option<Identity>, now: NaiveDateTime) -> Statement<Columns> {
    let by = |index| by_index(engine, "flyers", index);
    Statement::new(
        format!(
            "SELECT (SELECT relations_version FROM users WHERE id = :viewer AND token_key = :key), \
             (SELECT CAST(sum(version) AS bigint) FROM content_versions), \
             (SELECT max(valid_from) FROM {} WHERE valid_from <= :now), \
             (SELECT max(valid_until) FROM {} WHERE expired IS NOT TRUE AND valid_until <= :now)",
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

/// Reads the state at `now` of all that the lists of `viewer` are made of; makes sure that it is them.
///
/// # Errors
/// [`Error::UnknownCaller`] where their account is gone, or has ended their token.
pub fn current(connection: &mut Db, viewer: Option<Identity>, now: NaiveDateTime) -> Result<Validator> {
    let validator: Validator = query(connection.engine(), viewer, now).get_result(connection)?;
    match viewer {
        Some(_) if validator.relations.is_none() => Err(Error::UnknownCaller),
        _ => Ok(validator),
    }
}
