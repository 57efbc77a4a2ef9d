/* sweep_transactions */
SELECT CAST(CAST(pg_snapshot_xmin(pg_current_snapshot()) AS text) AS bigint), CAST(CAST(pg_snapshot_xmax(pg_current_snapshot()) AS text) AS bigint)
