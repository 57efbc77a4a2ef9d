-- Nothing: on SQLite a query names its indexes itself (INDEXED BY).
SELECT 1;
