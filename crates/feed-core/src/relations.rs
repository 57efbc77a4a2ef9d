//! What favorites and follows have in common: pages of a user's relations, most recent first, and their version.

use chrono::NaiveDateTime;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Timestamp};

use crate::db::{Db, Engine};
use crate::error::Result;
use crate::page::{COUNT_LIMIT, Count, Direction, Page, PageRequest, Position};
use crate::schema::users;
use crate::sql::{Name as _, Statement, Value, by_index};

/// The columns of a page: the id at the other end of a relation, and the time when it was created.
pub type RelationColumns = (BigInt, Timestamp);

/// A table of relations, and the index that has them in the list's order.
pub(crate) struct Relations {
    table: &'static str,
    /// The index on (`from`, `created_at` DESC, `to` DESC).
    index: &'static str,
    from: &'static str,
    to: &'static str,
}

pub(crate) const FAVORITES: Relations =
    Relations { table: "favorites", index: "favorites_user_recent", from: "user_id", to: "flyer_id" };
pub(crate) const FOLLOWS: Relations =
    Relations { table: "follows", index: "follows_follower_recent", from: "follower_id", to: "followed_id" };

impl Relations {
    /// Loads a page of the relations of `user`. `item` builds an item from the id at the other end and the time.
    pub(crate) fn page<T>(
        &self,
        connection: &mut Db,
        user: i64,
        request: &PageRequest,
        item: impl Fn(i64, NaiveDateTime) -> T,
    ) -> Result<Page<T>> {
        let engine = connection.engine();
        let rows: Vec<(i64, NaiveDateTime)> = self.page_query(engine, user, request).load(connection)?;
        let rows =
            rows.into_iter().map(|(id, at)| (Position { at, distance: 0, id }, item(id, at))).collect();
        Page::assemble(request, rows, || {
            let rows: i64 = self.count_query(engine, user).get_result(connection)?;
            Ok(Count::from(rows))
        })
    }

    pub(crate) fn page_query(
        &self,
        engine: Engine,
        user: i64,
        request: &PageRequest,
    ) -> Statement<RelationColumns> {
        let (order, after) = match request.direction() {
            Direction::Forward => ("DESC", "<"),
            Direction::Backward => ("ASC", ">"),
        };
        let Self { from, to, .. } = self;
        let position = request.position();
        Statement::new(
            format!(
                "SELECT {to}, created_at FROM {} WHERE {from} = :user AND (created_at, {to}) {after} (:at, :id) \
                 ORDER BY created_at {order}, {to} {order} LIMIT :limit OFFSET :offset",
                by_index(engine, self.table, self.index)
            ),
            &[
                ("user", Value::Int(user)),
                ("at", Value::Time(position.at)),
                ("id", Value::Int(position.id)),
                ("limit", Value::Int(request.limit().into())),
                ("offset", Value::Int(request.offset().into())),
            ],
        )
        .named("relations_page")
    }

    pub(crate) fn count_query(&self, engine: Engine, user: i64) -> Statement<BigInt> {
        let limit = COUNT_LIMIT + 1;
        Statement::new(
            format!(
                "SELECT count(*) FROM (SELECT 1 FROM {} WHERE {} = :user LIMIT {limit}) r",
                by_index(engine, self.table, self.index),
                self.from
            ),
            &[("user", Value::Int(user))],
        )
        .named("relations_count")
    }
}

/// Moves the version of a user's favorites and follows. It must run in the transaction that changes them.
///
/// The step is random: see the migration that created the versions.
pub(crate) fn move_relations_version(connection: &mut Db, user: i64) -> Result<()> {
    let step = 1 + i64::from(rand::random::<u32>() >> 12);
    diesel::update(users::table.find(user))
        .set(users::relations_version.eq(users::relations_version + step))
        .named("move_relations_version")
        .execute(connection)?;
    Ok(())
}
