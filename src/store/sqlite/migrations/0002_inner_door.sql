-- An owner is 'shared' or 'user:' and a subject. The subject is not a foreign key: nothing here ends with a user.
CREATE TABLE connections (
    owner             TEXT NOT NULL CHECK (owner = 'shared' OR substr(owner, 1, 5) = 'user:'),
    upstream_id       TEXT NOT NULL,
    issuer            TEXT NOT NULL,
    client_id         TEXT NOT NULL,
    sealed_tokens     BLOB NOT NULL,
    access_expires_at INTEGER,
    scope             TEXT,
    state             TEXT NOT NULL CHECK (state IN ('live', 'ended')),
    version           INTEGER NOT NULL,
    connected_at      INTEGER NOT NULL,
    updated_at        INTEGER NOT NULL,
    PRIMARY KEY (owner, upstream_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE connect_flows (
    state          BLOB PRIMARY KEY CHECK (length(state) = 32),
    session        BLOB NOT NULL CHECK (length(session) = 32),
    owner          TEXT NOT NULL CHECK (owner = 'shared' OR substr(owner, 1, 5) = 'user:'),
    upstream_id    TEXT NOT NULL,
    operation_id   TEXT NOT NULL,
    issuer         TEXT NOT NULL,
    sealed_details BLOB NOT NULL,
    interaction    TEXT,
    expires_at     INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX connect_flows_by_end ON connect_flows (expires_at);

CREATE TABLE upstream_clients (
    issuer         TEXT NOT NULL,
    redirect_uri   TEXT NOT NULL,
    client_id      TEXT NOT NULL,
    sealed_details BLOB NOT NULL,
    registered_at  INTEGER NOT NULL,
    PRIMARY KEY (issuer, redirect_uri)
) STRICT, WITHOUT ROWID;

-- A ticket is kept once it is spent; that it is here means that it is worth nothing.
CREATE TABLE spent_tickets (
    digest     BLOB PRIMARY KEY CHECK (length(digest) = 32),
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX spent_tickets_by_end ON spent_tickets (expires_at);

CREATE TABLE leases (
    name       TEXT PRIMARY KEY,
    holder     TEXT NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX leases_by_end ON leases (expires_at);

CREATE INDEX grants_by_subject ON grants (subject) WHERE revoked_at IS NULL;
