//! SQL text with named binds, for queries whose exact form fixes the query plan.
//!
//! Diesel's `sql_query` is prepared on every call. A [`Statement`] is cached as a prepared statement under its text. It
//! writes the placeholders in the syntax of the engine.

use std::fmt;
use std::marker::PhantomData;
use std::ops::Range;

use chrono::NaiveDateTime;
use diesel::QueryResult;
use diesel::backend::Backend;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::sql_types::{BigInt, Double, Text, Timestamp};

use crate::db::{Db, Engine, MultiBackend};

/// A value for a named bind.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// A 64-bit integer.
    Int(i64),
    /// A float.
    Real(f64),
    /// A time in UTC.
    Time(NaiveDateTime),
    /// Text.
    Text(String),
}

/// A query with its binds. `ST` is the SQL type of its rows.
///
/// In the text, `:name` stands for the bind of that name. It may occur several times.
#[derive(Debug, Clone)]
pub struct Statement<ST> {
    name: Option<&'static str>,
    text: String,
    pieces: Vec<Piece>,
    row: PhantomData<ST>,
}

#[derive(Debug, Clone)]
enum Piece {
    Sql(Range<usize>),
    Bind(Value),
}

impl<ST> Statement<ST> {
    /// Creates a statement from `text` and its `binds`.
    ///
    /// # Panics
    /// When `text` names a bind that is missing. That is a bug in the query, and the first run shows it.
    #[must_use]
    pub fn new(text: String, binds: &[(&str, Value)]) -> Self {
        let mut pieces = Vec::new();
        let mut start = 0;
        while let Some(colon) = text[start..].find(':').map(|i| start + i) {
            let name_length =
                text[colon + 1..].find(|c: char| !c.is_ascii_lowercase()).unwrap_or(text.len() - colon - 1);
            let end = colon + 1 + name_length;
            let name = &text[colon + 1..end];
            let Some((_, value)) = binds.iter().find(|(bind, _)| *bind == name) else {
                panic!("no bind is named {name:?}");
            };
            pieces.push(Piece::Sql(start..colon));
            pieces.push(Piece::Bind(value.clone()));
            start = end;
        }
        pieces.push(Piece::Sql(start..text.len()));
        Self { name: None, text, pieces, row: PhantomData }
    }

    /// Puts `name` before the text as a comment. It links the database's log and statistics to the code.
    #[must_use]
    pub fn named(self, name: &'static str) -> Self {
        Self { name: Some(name), ..self }
    }
}

/// The statement in readable form, with its name as a comment and `:name` for each bind.
impl<ST> fmt::Display for Statement<ST> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(name) = self.name {
            write!(f, "/* {name} */ ")?;
        }
        f.write_str(&self.text)
    }
}

impl<ST> QueryFragment<MultiBackend> for Statement<ST> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, MultiBackend>) -> QueryResult<()> {
        if let Some(name) = self.name {
            push_name(name, &mut out);
        }
        for piece in &self.pieces {
            match piece {
                Piece::Sql(range) => out.push_sql(&self.text[range.clone()]),
                Piece::Bind(Value::Int(value)) => out.push_bind_param::<BigInt, _>(value)?,
                Piece::Bind(Value::Real(value)) => out.push_bind_param::<Double, _>(value)?,
                Piece::Bind(Value::Time(value)) => out.push_bind_param::<Timestamp, _>(value)?,
                Piece::Bind(Value::Text(value)) => out.push_bind_param::<Text, _>(value)?,
            }
        }
        Ok(())
    }
}

/// Diesel caches the statement under its text, because it has no static id.
impl<ST> QueryId for Statement<ST> {
    type QueryId = ();
    const HAS_STATIC_QUERY_ID: bool = false;
}

impl<ST> Query for Statement<ST> {
    type SqlType = ST;
}

impl<ST> diesel::RunQueryDsl<Db> for Statement<ST> {}

/// A query in Diesel's query language with a name before it, as in [`Statement::named`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct Named<Q> {
    name: &'static str,
    query: Q,
}

/// Gives names to queries in Diesel's query language.
pub(crate) trait Name: Sized {
    /// Puts `name` before the query as a comment. It links the database's log and statistics to the code.
    fn named(self, name: &'static str) -> Named<Self> {
        Named { name, query: self }
    }
}

impl<Q: QueryId> Name for Q {}

impl<DB: Backend, Q: QueryFragment<DB>> QueryFragment<DB> for Named<Q> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, DB>) -> QueryResult<()> {
        push_name(self.name, &mut out);
        self.query.walk_ast(out)
    }
}

/// Diesel caches the query under its text, because it has no static id.
impl<Q> QueryId for Named<Q> {
    type QueryId = ();
    const HAS_STATIC_QUERY_ID: bool = false;
}

impl<Q: Query> Query for Named<Q> {
    type SqlType = Q::SqlType;
}

impl<Q, C> diesel::RunQueryDsl<C> for Named<Q> {}

fn push_name<DB: Backend>(name: &str, out: &mut AstPass<'_, '_, DB>) {
    out.push_sql("/* ");
    out.push_sql(name);
    out.push_sql(" */ ");
}

/// A table, with its alias if it has one (`flyers f`), in a FROM clause, to be read by this index, whatever the statistics say.
///
/// SQLite has `INDEXED BY`. On PostgreSQL the index has the condition [`names_index`], which no other index has. The
/// planner merges the subquery with the query around it.
pub(crate) fn by_index(engine: Engine, table: &str, index: &str) -> String {
    match engine {
        Engine::Sqlite => format!("{table} INDEXED BY {index}"),
        Engine::Postgres => {
            let (table, alias) = table.split_once(' ').unwrap_or((table, table));
            format!("(SELECT * FROM {table} WHERE {}) {alias}", names_index(index))
        }
    }
}

/// The condition by which PostgreSQL reads a table by this index and in no other way.
///
/// It is always true: see the migration of steady plans. It calls the function with the column that the index's own
/// condition has.
pub(crate) fn names_index(index: &str) -> String {
    let column = match index.split_once('_') {
        Some(("favorites", _)) => "user_id",
        Some(("follows", _)) => "follower_id",
        _ => "id",
    };
    format!("by_index('{index}', {column})")
}

/// A bind that an index is searched for, on PostgreSQL in the function `seek`. It returns its argument.
///
/// It keeps the planner from reading the table in another way, for which it would be called once a row: see the
/// migration of steady plans. It is for indexes that foreign keys and conflicts need too, which may have no condition.
pub(crate) fn seek(engine: Engine, bind: &str) -> String {
    match engine {
        Engine::Sqlite => bind.to_owned(),
        Engine::Postgres => format!("seek({bind})"),
    }
}

/// An INSERT that does nothing if the row already exists.
///
/// Diesel's `on_conflict` does not support a `MultiConnection`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct OnConflictDoNothing<Insert>(pub Insert);

impl<Insert: QueryFragment<MultiBackend>> QueryFragment<MultiBackend> for OnConflictDoNothing<Insert> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, MultiBackend>) -> QueryResult<()> {
        self.0.walk_ast(out.reborrow())?;
        out.push_sql(" ON CONFLICT DO NOTHING");
        Ok(())
    }
}

impl<Insert: QueryId> QueryId for OnConflictDoNothing<Insert> {
    type QueryId = OnConflictDoNothing<Insert::QueryId>;
    const HAS_STATIC_QUERY_ID: bool = Insert::HAS_STATIC_QUERY_ID;
}

impl<Insert> diesel::RunQueryDsl<Db> for OnConflictDoNothing<Insert> {}
