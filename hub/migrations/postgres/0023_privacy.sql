-- Members whose data is kept but not used: no detection, no decision, no message, no report.
CREATE TABLE restriction (
    member BIGINT PRIMARY KEY,
    at     BIGINT NOT NULL,
    reason TEXT   NOT NULL
);

-- Customer numbers of erased members, as keyed hashes only: a file that does not know of the erasure does not bring her back.
CREATE TABLE barred (
    crm_id BYTEA  PRIMARY KEY,
    at     BIGINT NOT NULL
);

-- Receipts of erasures. They name nobody.
CREATE TABLE erasure (
    id        TEXT   PRIMARY KEY,
    at        BIGINT NOT NULL,
    receipt   TEXT   NOT NULL,
    key_id    TEXT   NOT NULL,
    signature TEXT   NOT NULL
);

-- Erased members, for two days: hubs drop them from memory.
CREATE TABLE erased_member (
    member  BIGINT PRIMARY KEY,
    version BIGINT NOT NULL,
    at      BIGINT NOT NULL
);

-- Installations of erased members, while gateways must refuse them.
CREATE TABLE ended_installation (
    id TEXT   PRIMARY KEY,
    at BIGINT NOT NULL
);

-- Signed links to a member's own page. The signature is not here: a stolen database opens no page.
CREATE TABLE member_page (
    id         TEXT   PRIMARY KEY,
    member     BIGINT NOT NULL,
    brand      TEXT   NOT NULL,
    entity     TEXT   NOT NULL,
    origin     TEXT   NOT NULL, -- sms, app, or proved
    message    TEXT   NULL,     -- that the link came with
    made_at    BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    revoked_at BIGINT NULL,
    tries      BIGINT NOT NULL DEFAULT 0
);
CREATE INDEX member_page_member ON member_page (member);
CREATE INDEX member_page_expires ON member_page (expires_at);

-- What was forgotten each day, by table.
CREATE TABLE forgotten (
    day       TEXT   NOT NULL,
    what      TEXT   NOT NULL,
    forgotten BIGINT NOT NULL,
    PRIMARY KEY (day, what)
);
