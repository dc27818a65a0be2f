-- What bounds a customer's tasks. Its size budget stands with its retention. A client without a row has no bound.
CREATE TABLE clients (
    name      TEXT PRIMARY KEY,
    max_tasks INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
