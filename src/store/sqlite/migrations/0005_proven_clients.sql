-- A client with a key pair has its public keys here, or the URL where they are, as a JSON text.
ALTER TABLE clients ADD COLUMN keys TEXT;

ALTER TABLE interactions ADD COLUMN ask_again INTEGER NOT NULL DEFAULT 0 CHECK (ask_again IN (0, 1));

CREATE TABLE consents (
    subject      TEXT NOT NULL,
    client_id    TEXT NOT NULL,
    redirect_uri TEXT NOT NULL,
    resource     TEXT NOT NULL,
    operation_id TEXT NOT NULL,
    scope        TEXT NOT NULL,
    metadata     BLOB NOT NULL CHECK (length(metadata) = 32),
    approved_at  INTEGER NOT NULL,
    expires_at   INTEGER NOT NULL,
    PRIMARY KEY (subject, client_id, redirect_uri, resource)
) STRICT, WITHOUT ROWID;

CREATE INDEX consents_by_end ON consents (expires_at);
