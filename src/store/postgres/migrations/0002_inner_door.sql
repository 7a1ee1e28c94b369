-- An owner is 'shared' or 'user:' and a subject. The subject is not a foreign key: nothing here ends with a user.
CREATE TABLE connections (
    owner             TEXT NOT NULL CHECK (owner = 'shared' OR substr(owner, 1, 5) = 'user:'),
    upstream_id       TEXT NOT NULL,
    issuer            TEXT NOT NULL,
    client_id         TEXT NOT NULL,
    sealed_tokens     BYTEA NOT NULL,
    access_expires_at BIGINT,
    scope             TEXT,
    state             TEXT NOT NULL CHECK (state IN ('live', 'ended')),
    version           BIGINT NOT NULL,
    connected_at      BIGINT NOT NULL,
    updated_at        BIGINT NOT NULL,
    PRIMARY KEY (owner, upstream_id)
);

CREATE TABLE connect_flows (
    state          BYTEA PRIMARY KEY CHECK (octet_length(state) = 32),
    session        BYTEA NOT NULL CHECK (octet_length(session) = 32),
    owner          TEXT NOT NULL CHECK (owner = 'shared' OR substr(owner, 1, 5) = 'user:'),
    upstream_id    TEXT NOT NULL,
    operation_id   TEXT NOT NULL,
    issuer         TEXT NOT NULL,
    sealed_details BYTEA NOT NULL,
    interaction    TEXT,
    expires_at     BIGINT NOT NULL
);

CREATE INDEX connect_flows_by_end ON connect_flows (expires_at);

CREATE TABLE upstream_clients (
    issuer         TEXT NOT NULL,
    redirect_uri   TEXT NOT NULL,
    client_id      TEXT NOT NULL,
    sealed_details BYTEA NOT NULL,
    registered_at  BIGINT NOT NULL,
    PRIMARY KEY (issuer, redirect_uri)
);

-- A ticket is kept once it is spent; that it is here means that it is worth nothing.
CREATE TABLE spent_tickets (
    digest     BYTEA PRIMARY KEY CHECK (octet_length(digest) = 32),
    expires_at BIGINT NOT NULL
);

CREATE INDEX spent_tickets_by_end ON spent_tickets (expires_at);

CREATE TABLE leases (
    name       TEXT PRIMARY KEY,
    holder     TEXT NOT NULL,
    expires_at BIGINT NOT NULL
);

CREATE INDEX leases_by_end ON leases (expires_at);

CREATE INDEX grants_by_subject ON grants (subject) WHERE revoked_at IS NULL;
