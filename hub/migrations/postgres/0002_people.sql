-- Who consented to what. No identifier, name or address stands here in clear: keys are keyed hashes, numbers and chain keys are sealed.

-- One row. Every transaction that changes people bumps it first, which also puts such transactions in one order.
CREATE TABLE people_version (
    id      BIGINT PRIMARY KEY CHECK (id = 1),
    version BIGINT NOT NULL
);
INSERT INTO people_version (id, version) VALUES (1, 0);

CREATE TABLE member (
    id         BIGINT PRIMARY KEY,
    brand      TEXT   NOT NULL, -- where she came from first
    created_at BIGINT NOT NULL,
    version    BIGINT NOT NULL  -- people_version of her last change
);
CREATE INDEX member_version ON member (version);

-- What the link log says now: the member that a key belongs to.
CREATE TABLE identifier (
    kind   TEXT   NOT NULL,
    key    BYTEA  NOT NULL,
    member BIGINT NULL REFERENCES member (id),
    since  BIGINT NOT NULL, -- touchpoints before this are not hers
    PRIMARY KEY (kind, key)
);
CREATE INDEX identifier_member ON identifier (member, kind);

-- Append-only: who said that two things belong together. Either a member or another key stands on the right.
CREATE TABLE link (
    id         TEXT   PRIMARY KEY,
    kind       TEXT   NOT NULL,
    key        BYTEA  NOT NULL,
    member     BIGINT NULL REFERENCES member (id),
    to_kind    TEXT   NULL,
    to_key     BYTEA  NULL,
    source     TEXT   NOT NULL, -- crm, app, or the name of an API token
    reason     TEXT   NOT NULL, -- the moment: import, enrolment, login, ...
    at         BIGINT NOT NULL,
    revoked_at BIGINT NULL
);
CREATE INDEX link_key ON link (kind, key);
CREATE INDEX link_member ON link (member);

-- Links that were refused because they would have joined two persons or passed a limit.
CREATE TABLE conflict (
    kind   TEXT   NOT NULL,
    key    BYTEA  NOT NULL,
    member BIGINT NOT NULL,
    other  BIGINT NULL,
    reason TEXT   NOT NULL,
    source TEXT   NOT NULL,
    at     BIGINT NOT NULL,
    PRIMARY KEY (kind, key, member, reason)
);

-- Append-only log of statements, the proof of consent.
CREATE TABLE consent (
    member  BIGINT NOT NULL REFERENCES member (id),
    brand   TEXT   NOT NULL,
    entity  TEXT   NOT NULL,
    purpose TEXT   NOT NULL,
    granted BIGINT NOT NULL,
    at      BIGINT NOT NULL,
    source  TEXT   NOT NULL,
    wording TEXT   NOT NULL, -- what she read
    PRIMARY KEY (member, brand, entity, purpose, at)
);

-- The latest statement of the log for each purpose.
CREATE TABLE consent_now (
    member  BIGINT NOT NULL REFERENCES member (id),
    brand   TEXT   NOT NULL,
    entity  TEXT   NOT NULL,
    purpose TEXT   NOT NULL,
    granted BIGINT NOT NULL,
    at      BIGINT NOT NULL,
    source  TEXT   NOT NULL,
    PRIMARY KEY (member, purpose, brand, entity)
);

-- Where SMS go; only while `sms` is granted to somebody.
CREATE TABLE destination (
    member BIGINT PRIMARY KEY REFERENCES member (id),
    key    BYTEA  NOT NULL,
    sealed BYTEA  NOT NULL,
    at     BIGINT NOT NULL
);
CREATE INDEX destination_key ON destination (key);

CREATE TABLE installation (
    id         TEXT   PRIMARY KEY,
    member     BIGINT NOT NULL REFERENCES member (id),
    brand      TEXT   NOT NULL,
    entity     TEXT   NOT NULL,
    chain_key  BYTEA  NULL,     -- sealed; NULL once deleted
    key_day    BIGINT NOT NULL, -- UTC day that the chain key is for
    created_at BIGINT NOT NULL,
    deleted_at BIGINT NULL
);
CREATE INDEX installation_member ON installation (member);
CREATE INDEX installation_deleted ON installation (deleted_at) WHERE deleted_at IS NOT NULL;

-- Destinations that said STOP. Outlives the member, as a keyed hash only.
CREATE TABLE suppression (
    brand       TEXT   NOT NULL,
    entity      TEXT   NOT NULL,
    destination BYTEA  NOT NULL,
    at          BIGINT NOT NULL,
    reason      TEXT   NOT NULL,
    PRIMARY KEY (brand, entity, destination)
);
