-- Which hashes of addresses and numbers a partner was given, so that it can be told which ones it has to take out again. `sealed` is the hash as it was
-- given; `key` is keyed. After an erasure it is nobody's.
CREATE TABLE ad_given (
    id         TEXT   PRIMARY KEY,
    partner    TEXT   NOT NULL,
    brand      TEXT   NOT NULL,
    entity     TEXT   NOT NULL,
    kind       TEXT   NOT NULL,
    key        BLOB   NOT NULL,
    sealed     BLOB   NOT NULL,
    member     BIGINT NULL,
    given_at   BIGINT NOT NULL,
    removed_at BIGINT NULL, -- since when there is no consent for it any more
    UNIQUE (partner, brand, entity, key)
);
CREATE INDEX ad_given_member ON ad_given (member);
CREATE INDEX ad_given_removed ON ad_given (removed_at) WHERE removed_at IS NOT NULL;
