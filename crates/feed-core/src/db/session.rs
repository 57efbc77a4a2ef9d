//! Sessions on a PostgreSQL server, and how their reads are cancelled.

use diesel::sql_types::Text;
use diesel::{QueryResult, QueryableByName, RunQueryDsl, sql_query};

use super::connection::Db;

/// SQL for the identity of a PostgreSQL session in `pg_stat_activity`.
///
/// A process id alone is not enough. The server reuses ids, and a URL with several hosts may lead to another server.
const SESSION: &str = "(pid || ' ' || extract(epoch FROM backend_start))";

/// A row of `pg_stat_activity`.
#[derive(QueryableByName)]
struct Session {
    #[diesel(sql_type = Text)]
    name: String,
}

/// The identity of a connection's session: one round trip.
pub(super) fn identity(db: &mut Db) -> QueryResult<String> {
    let Db::Postgres(connection) = db else { return Ok(String::new()) };
    let select = format!("SELECT {SESSION} AS name FROM pg_stat_activity WHERE pid = pg_backend_pid()");
    sql_query(select).get_result(connection).map(|Session { name }| name)
}

/// Cancels the statement that the session with this identity runs, if it runs one.
pub(super) fn cancel(connection: &mut Db, session: &str) -> QueryResult<usize> {
    let statement =
        sql_query(format!("SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE {SESSION} = $1"));
    statement.bind::<Text, _>(session).execute(connection)
}
