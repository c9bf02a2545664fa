-- SMS and their fate. Times are business milliseconds, except claim_until and next_try: those are machine time (see store/message.rs).
CREATE TABLE message (
    id          TEXT   PRIMARY KEY,
    send_key    BYTEA  NOT NULL UNIQUE,
    decision    TEXT   NOT NULL,
    member      BIGINT NOT NULL,
    brand       TEXT   NOT NULL,
    entity      TEXT   NOT NULL,
    offer       TEXT   NOT NULL,
    campaign    TEXT,
    visit       TEXT,
    store       TEXT   NOT NULL,
    -- keyed hash of the number
    destination BYTEA  NOT NULL,
    -- the number, sealed; NULL as soon as nothing can be sent any more
    sealed      BYTEA,
    text        TEXT   NOT NULL,
    sender      TEXT   NOT NULL,
    parts       BIGINT NOT NULL,
    encoding    TEXT   NOT NULL,
    trigger_at  BIGINT NOT NULL,
    deadline    BIGINT NOT NULL,
    validity_ms BIGINT NOT NULL,
    state       TEXT   NOT NULL,
    reason      TEXT,
    claimed_by  TEXT,
    claim_until BIGINT,
    attempts    BIGINT NOT NULL DEFAULT 0,
    next_try    BIGINT,
    planned_at  BIGINT NOT NULL,
    sent_at     BIGINT,
    settled_at  BIGINT
);
CREATE INDEX message_state ON message (state, planned_at);
CREATE INDEX message_member ON message (member, planned_at);
CREATE INDEX message_destination ON message (destination, planned_at);

-- What the SMSC called each part, and what became of it.
CREATE TABLE message_part (
    message TEXT   NOT NULL REFERENCES message (id) ON DELETE CASCADE,
    number  BIGINT NOT NULL,
    smsc_id TEXT   NOT NULL,
    at      BIGINT NOT NULL,
    outcome TEXT,
    PRIMARY KEY (message, number)
);
CREATE INDEX message_part_smsc ON message_part (smsc_id);

-- Receipts that match nothing yet: they may come before the answer to their submit. Kept for 10 minutes.
CREATE TABLE receipt (
    id          TEXT   PRIMARY KEY,
    smsc_id     TEXT   NOT NULL,
    other_id    TEXT,
    destination BYTEA,
    outcome     TEXT   NOT NULL,
    reason      TEXT,
    at          BIGINT NOT NULL
);
CREATE INDEX receipt_smsc ON receipt (smsc_id);

-- Who answered what: the verb only, never the text.
CREATE TABLE inbound (
    id          TEXT   PRIMARY KEY,
    destination BYTEA  NOT NULL,
    number      TEXT   NOT NULL,
    verb        TEXT   NOT NULL,
    at          BIGINT NOT NULL
);
CREATE INDEX inbound_at ON inbound (at);
