-- The ledger of consent: one chain per brand and entity, append-only. The hash of an entry covers the one before it, its public columns and a salted
-- commitment to its content. An erasure takes member, salt and content away; the chain still verifies and the commitment tells nothing any more.
CREATE TABLE ledger_entry (
    brand       TEXT   NOT NULL,
    entity      TEXT   NOT NULL,
    number      BIGINT NOT NULL, -- from 1, without gaps
    recorded_at BIGINT NOT NULL, -- when the hub heard of it
    purpose     TEXT   NOT NULL,
    granted     BIGINT NOT NULL,
    commitment  BLOB   NOT NULL, -- SHA-256 of salt and content
    hash        BLOB   NOT NULL,
    member      BIGINT NULL,
    salt        BLOB   NULL,
    content     TEXT   NULL,     -- the proof as JSON
    PRIMARY KEY (brand, entity, number)
);
CREATE INDEX ledger_entry_member ON ledger_entry (member) WHERE member IS NOT NULL;

-- The end of each chain, to lock.
CREATE TABLE ledger_chain (
    brand  TEXT   NOT NULL,
    entity TEXT   NOT NULL,
    length BIGINT NOT NULL,
    head   BLOB   NOT NULL,
    PRIMARY KEY (brand, entity)
);

-- The texts that members read when they consented, each once.
CREATE TABLE wording (
    sha256   TEXT   PRIMARY KEY,
    text     TEXT   NOT NULL,
    first_at BIGINT NOT NULL
);
