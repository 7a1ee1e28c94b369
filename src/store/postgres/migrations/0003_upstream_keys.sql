-- Scope that the upstream asked for beyond what it had granted, and the last use, which is noted coarsely.
ALTER TABLE connections ADD COLUMN wanted_scope TEXT;
ALTER TABLE connections ADD COLUMN last_used_at BIGINT;

-- The authorization server that a client registered by hand is for.
CREATE TABLE pinned_issuers (
    upstream_id TEXT NOT NULL,
    client_id   TEXT NOT NULL,
    issuer      TEXT NOT NULL,
    PRIMARY KEY (upstream_id, client_id)
);

CREATE TABLE signing_keys (
    purpose    TEXT PRIMARY KEY,
    key_id     TEXT NOT NULL,
    sealed_key BYTEA NOT NULL,
    created_at BIGINT NOT NULL
);
