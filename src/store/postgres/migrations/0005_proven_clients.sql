-- A client with a key pair has its public keys here, or the URL where they are, as a JSON text.
ALTER TABLE clients ADD COLUMN keys TEXT;

ALTER TABLE interactions ADD COLUMN ask_again BOOLEAN NOT NULL DEFAULT false;

CREATE TABLE consents (
    subject      TEXT NOT NULL,
    client_id    TEXT NOT NULL,
    redirect_uri TEXT NOT NULL,
    resource     TEXT NOT NULL,
    operation_id TEXT NOT NULL,
    scope        TEXT NOT NULL,
    metadata     BYTEA NOT NULL CHECK (octet_length(metadata) = 32),
    approved_at  BIGINT NOT NULL,
    expires_at   BIGINT NOT NULL,
    PRIMARY KEY (subject, client_id, redirect_uri, resource)
);

CREATE INDEX consents_by_end ON consents (expires_at);
