-- Times are microseconds since 1970, UTC. Subjects, approvals and denials are JSON.

CREATE TABLE session (
    id         TEXT PRIMARY KEY,
    issuer     TEXT NOT NULL,
    sub        TEXT NOT NULL,
    subject    TEXT NOT NULL,
    family     TEXT,
    database   TEXT NOT NULL,
    access     TEXT NOT NULL CHECK (access IN ('read', 'write')),
    reason     TEXT NOT NULL,
    opened     INTEGER NOT NULL,
    ends       INTEGER NOT NULL,
    state      TEXT NOT NULL CHECK (state IN ('opening', 'open', 'closing', 'closed')),
    why        TEXT,
    changed    INTEGER,
    role       TEXT,
    verifier   TEXT NOT NULL,
    digest     BLOB NOT NULL CHECK (length(digest) = 32),
    request    TEXT,
    "grant"    TEXT NOT NULL,
    CHECK ((state IN ('closing', 'closed')) = (why IS NOT NULL)),
    CHECK ((why IS NULL) = (changed IS NULL))
) STRICT;

CREATE INDEX session_subject ON session (issuer, sub, opened);
CREATE INDEX session_family ON session (family) WHERE family IS NOT NULL;
CREATE INDEX session_unfinished ON session (state, opened) WHERE state <> 'closed';
CREATE INDEX session_closed ON session (changed) WHERE state = 'closed';

CREATE TABLE lease (
    role       TEXT PRIMARY KEY,
    session    TEXT NOT NULL,
    database   TEXT NOT NULL,
    state      TEXT NOT NULL CHECK (state IN ('intent', 'created', 'closing', 'stuck')),
    created    INTEGER NOT NULL,
    ends       INTEGER NOT NULL,
    tries      INTEGER NOT NULL DEFAULT 0,
    error      TEXT,
    next       INTEGER,
    detail     TEXT NOT NULL
) STRICT;

CREATE TABLE request (
    id         TEXT PRIMARY KEY,
    kind       TEXT NOT NULL CHECK (kind IN ('session', 'statement')),
    issuer     TEXT NOT NULL,
    sub        TEXT NOT NULL,
    subject    TEXT NOT NULL,
    database   TEXT NOT NULL,
    session    TEXT,
    reason     TEXT NOT NULL,
    what       TEXT NOT NULL,
    binding    TEXT NOT NULL,
    state      TEXT NOT NULL CHECK (state IN ('pending', 'approved', 'denied', 'expired', 'withdrawn', 'used')),
    needed     INTEGER NOT NULL CHECK (needed > 0),
    approvers  TEXT NOT NULL,
    denial     TEXT,
    created    INTEGER NOT NULL,
    expires    INTEGER NOT NULL,
    CHECK ((state = 'denied') = (denial IS NOT NULL))
) STRICT;

CREATE INDEX request_state ON request (state, expires);
CREATE INDEX request_subject ON request (issuer, sub, created);

CREATE TABLE approval (
    request    TEXT NOT NULL REFERENCES request (id) ON DELETE CASCADE,
    issuer     TEXT NOT NULL,
    sub        TEXT NOT NULL,
    approval   TEXT NOT NULL,
    at         INTEGER NOT NULL,
    PRIMARY KEY (request, issuer, sub)
) STRICT;

CREATE TABLE token (
    digest     BLOB PRIMARY KEY CHECK (length(digest) = 32),
    issuer     TEXT NOT NULL,
    sub        TEXT NOT NULL,
    subject    TEXT NOT NULL,
    family     TEXT NOT NULL,
    issued     INTEGER NOT NULL,
    expires    INTEGER NOT NULL
) STRICT;

CREATE INDEX token_family ON token (family);
CREATE INDEX token_subject ON token (issuer, sub);
CREATE INDEX token_expires ON token (expires);

CREATE TABLE once (
    what       TEXT PRIMARY KEY,
    until      INTEGER NOT NULL
) STRICT;

CREATE INDEX once_until ON once (until);
