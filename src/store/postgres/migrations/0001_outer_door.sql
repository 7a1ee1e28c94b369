-- Times are milliseconds since the Unix epoch, digests are SHA-256, lists and claims are JSON texts.

CREATE TABLE clients (
    id            TEXT PRIMARY KEY,
    name          TEXT,
    uri           TEXT,
    redirect_uris TEXT NOT NULL,
    auth_method   TEXT NOT NULL,
    secret_digest BYTEA CHECK (octet_length(secret_digest) = 32),
    created_at    BIGINT NOT NULL,
    last_used_at  BIGINT NOT NULL
);

CREATE INDEX clients_by_last_use ON clients (last_used_at);

CREATE TABLE users (
    subject TEXT PRIMARY KEY,
    issuer  TEXT NOT NULL,
    sub     TEXT NOT NULL,
    email   TEXT,
    name    TEXT,
    claims  TEXT NOT NULL
);

CREATE TABLE browser_sessions (
    digest     BYTEA PRIMARY KEY CHECK (octet_length(digest) = 32),
    subject    TEXT NOT NULL REFERENCES users (subject),
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL
);

CREATE INDEX browser_sessions_by_subject ON browser_sessions (subject);
CREATE INDEX browser_sessions_by_end ON browser_sessions (expires_at);

CREATE TABLE interactions (
    id             TEXT PRIMARY KEY,
    client_id      TEXT NOT NULL,
    redirect_uri   TEXT NOT NULL,
    state          TEXT,
    code_challenge TEXT NOT NULL,
    operation_id   TEXT NOT NULL,
    resource       TEXT NOT NULL,
    issuer         TEXT NOT NULL,
    scope          TEXT NOT NULL,
    error          TEXT,
    session        BYTEA CHECK (octet_length(session) = 32),
    created_at     BIGINT NOT NULL,
    expires_at     BIGINT NOT NULL
);

CREATE INDEX interactions_by_end ON interactions (expires_at);

CREATE TABLE logins (
    state           BYTEA PRIMARY KEY CHECK (octet_length(state) = 32),
    browser         BYTEA NOT NULL CHECK (octet_length(browser) = 32),
    nonce           TEXT NOT NULL,
    sealed_verifier BYTEA,
    redirect_uri    TEXT NOT NULL,
    interaction     TEXT,
    expires_at      BIGINT NOT NULL
);

CREATE INDEX logins_by_end ON logins (expires_at);

-- The client is not a foreign key: it may stand in the configuration or in a metadata document.
CREATE TABLE grants (
    id           TEXT PRIMARY KEY,
    subject      TEXT NOT NULL,
    client_id    TEXT NOT NULL,
    operation_id TEXT NOT NULL,
    resource     TEXT NOT NULL,
    scope        TEXT NOT NULL,
    created_at   BIGINT NOT NULL,
    expires_at   BIGINT NOT NULL,
    revoked_at   BIGINT
);

CREATE INDEX grants_by_client ON grants (client_id) WHERE revoked_at IS NULL;
CREATE INDEX grants_by_end ON grants (expires_at);
CREATE INDEX grants_by_revocation ON grants (revoked_at) WHERE revoked_at IS NOT NULL;

-- A code is spent by its redemption or by a failed check; only a redeemed one has issued tokens.
CREATE TABLE codes (
    digest         BYTEA PRIMARY KEY CHECK (octet_length(digest) = 32),
    grant_id       TEXT NOT NULL REFERENCES grants (id) ON DELETE CASCADE,
    redirect_uri   TEXT NOT NULL,
    code_challenge TEXT NOT NULL,
    expires_at     BIGINT NOT NULL,
    spent_at       BIGINT,
    redeemed_at    BIGINT
);

CREATE INDEX codes_by_grant ON codes (grant_id);
CREATE INDEX unredeemed_codes_by_end ON codes (expires_at) WHERE redeemed_at IS NULL;

CREATE TABLE access_tokens (
    digest     BYTEA PRIMARY KEY CHECK (octet_length(digest) = 32),
    grant_id   TEXT NOT NULL REFERENCES grants (id) ON DELETE CASCADE,
    expires_at BIGINT NOT NULL
);

CREATE INDEX access_tokens_by_grant ON access_tokens (grant_id);
CREATE INDEX access_tokens_by_end ON access_tokens (expires_at);

-- A rotated token stays, so that its reuse is seen; its sealed successors go when the grace window ends.
CREATE TABLE refresh_tokens (
    digest           BYTEA PRIMARY KEY CHECK (octet_length(digest) = 32),
    grant_id         TEXT NOT NULL REFERENCES grants (id) ON DELETE CASCADE,
    rotated_at       BIGINT,
    grace_ends_at    BIGINT,
    sealed_successor BYTEA
);

CREATE INDEX refresh_tokens_by_grant ON refresh_tokens (grant_id);
CREATE INDEX refresh_tokens_by_rotation ON refresh_tokens (rotated_at) WHERE rotated_at IS NOT NULL;
CREATE INDEX sealed_successors_by_end ON refresh_tokens (grace_ends_at) WHERE sealed_successor IS NOT NULL;
