//! Makes statements of queries that were not run.

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
/// [`unsent()`] uses it to let Diesel write a query's SQL. To read plans, use the functions of [this module](super):
/// SQLite's answer to EXPLAIN is a program of its virtual machine, and PostgreSQL's is only the custom plan.
#[derive(Debug, Clone, Copy)]
pub struct Explain<Q>(pub Q);

impl<DB: Backend, Q: QueryFragment<DB>> QueryFragment<DB> for Explain<Q> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, DB>) -> QueryResult<()> {
        // Do not fill the statement cache of the connection under test.
        out.unsafe_to_cache_prepared();
        out.push_sql(EXPLAIN);
        self.0.walk_ast(out)
    }
}

impl<Q> QueryId for Explain<Q> {
    type QueryId = ();
    const HAS_STATIC_QUERY_ID: bool = false;
}

/// The statement that `connection` would send for `query`, for [`plan::sqlite`](super::sqlite()) and
/// [`plan::postgres`](super::postgres()). It supports any backend, also that of a `MultiConnection`.
///
/// Cost: one EXPLAIN, which does not run the query. It is not recorded in any log.
///
/// # Errors
/// [`Error::Unseen`] when the connection is not recorded; [`Error::Database`].
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
    /// The statement that a connection with the backend `DB` would send for `query`. It needs no connection.
    ///
    /// For a `MultiConnection` use [`unsent()`], because its backend has no `Default`.
    ///
    /// # Errors
    /// [`Error::Unseen`] when Diesel cannot build the query.
    pub fn of<DB>(query: &impl QueryFragment<DB>) -> Result<Self, Error>
    where
        DB: Backend + Default,
        DB::QueryBuilder: Default,
    {
        let (sql, binds) =
            recorder::sql_and_binds(&diesel::debug_query::<DB, _>(query)).ok_or(Error::Unseen)?;
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
