//! Queries that were not run, as the statements that they would be.

use diesel::Connection;
use diesel::QueryResult;
use diesel::backend::Backend;
use diesel::query_builder::{AstPass, QueryFragment, QueryId};

use crate::error::Error;
use crate::log::{Kind, Statement, recorder};
use crate::sql::{kind, normalize};

const EXPLAIN: &str = "EXPLAIN ";

/// A query with EXPLAIN in front, on any backend.
///
/// PostgreSQL answers it with the custom plan, and SQLite with a program of its virtual machine: read plans
/// by [`unsent()`].
#[derive(Debug, Clone, Copy)]
pub struct Explain<Q>(pub Q);

impl<DB: Backend, Q: QueryFragment<DB>> QueryFragment<DB> for Explain<Q> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, DB>) -> QueryResult<()> {
        // Not worth a place among the statements of the connection under test.
        out.unsafe_to_cache_prepared();
        out.push_sql(EXPLAIN);
        self.0.walk_ast(out)
    }
}

impl<Q> QueryId for Explain<Q> {
    type QueryId = ();
    const HAS_STATIC_QUERY_ID: bool = false;
}

/// The statement that `query` would be on `connection`, as [`plan::sqlite`](super::sqlite()) and
/// [`plan::postgres`](super::postgres()) take it, on any backend, that of a `MultiConnection` included.
///
/// Cost: one EXPLAIN, which runs nothing. The logs do not see it.
///
/// # Errors
/// [`Error::Unseen`] when the connection does not report to the log; [`Error::Database`].
pub fn unsent<C, Q>(connection: &mut C, query: Q) -> Result<Statement, Error>
where
    C: Connection,
    Q: QueryFragment<C::Backend>,
{
    let explain = Explain(query);
    let (answer, log) = recorder::in_scope(true, || connection.execute_returning_count(&explain));
    let seen = log.statements.into_iter().find_map(|statement| {
        let sql = statement.sql.strip_prefix(EXPLAIN)?.to_owned();
        Some(Statement::unsent(sql, statement.binds))
    });
    answer.map_err(Error::database("EXPLAIN"))?;
    seen.ok_or(Error::Unseen)
}

impl Statement {
    /// The statement that `query` would be on a connection with the backend `DB`, without a connection.
    ///
    /// The backend of a `MultiConnection` cannot be made from nothing: for that there is [`unsent()`].
    ///
    /// # Errors
    /// [`Error::Unseen`] when Diesel cannot build the query.
    pub fn of<DB>(query: &impl QueryFragment<DB>) -> Result<Self, Error>
    where
        DB: Backend + Default,
        DB::QueryBuilder: Default,
    {
        let (sql, binds) = recorder::written(&diesel::debug_query::<DB, _>(query)).ok_or(Error::Unseen)?;
        Ok(Self::unsent(sql, binds))
    }

    fn unsent(sql: String, binds: String) -> Self {
        Self {
            normalized: normalize(&sql),
            kind: kind(&sql).unwrap_or(Kind::Other),
            sql,
            binds,
            time: std::time::Duration::ZERO,
            failed: false,
            counters: None,
        }
    }
}
