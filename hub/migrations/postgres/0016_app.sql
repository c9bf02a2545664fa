-- What an app holds to speak for itself, as keyed hash.
ALTER TABLE installation ADD COLUMN secret BYTEA NULL;

-- How old she says she is: a band, never a date.
ALTER TABLE member ADD COLUMN age_band TEXT NULL;
ALTER TABLE member ADD COLUMN age_at BIGINT NULL;

-- Where each rotating id was heard, to notice one that is in two places at once: keyed hash of id and window, for 48 h at most.
CREATE TABLE rid_heard (
    mark     BYTEA NOT NULL,
    store    TEXT   NOT NULL,
    first_at BIGINT NOT NULL,
    last_at  BIGINT NOT NULL,
    PRIMARY KEY (mark, store)
);
CREATE INDEX rid_heard_last ON rid_heard (last_at);

-- Evidence of this member in this store and time is contradicted: no visit is qualified by it.
CREATE TABLE suspicion (
    member  BIGINT NOT NULL,
    store   TEXT   NOT NULL,
    from_at BIGINT NOT NULL,
    to_at   BIGINT NOT NULL,
    -- replay: the same rotating id in a shop too far away
    reason  TEXT   NOT NULL,
    other   TEXT   NOT NULL,
    at      BIGINT NOT NULL,
    PRIMARY KEY (member, store, from_at, other)
);
CREATE INDEX suspicion_at ON suspicion (at);
