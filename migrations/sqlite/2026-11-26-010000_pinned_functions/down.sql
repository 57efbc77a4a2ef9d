-- Nothing: SQLite has neither functions of ours nor a search path.
SELECT 1;
