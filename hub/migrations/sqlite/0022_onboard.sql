-- What CRM files say of a member, in this configuration's words, and keys that may be given to ad platforms.

CREATE TABLE member_segment (
    member  BIGINT NOT NULL,
    source  TEXT   NOT NULL,
    segment TEXT   NOT NULL,
    at      BIGINT NOT NULL,
    PRIMARY KEY (member, source, segment)
);
CREATE INDEX member_segment_segment ON member_segment (segment);

-- Canonical addresses and numbers, sealed; only while `ads` is granted to somebody. Hashes are made of them when they are exported.
CREATE TABLE ad_key (
    id     TEXT   PRIMARY KEY,
    member BIGINT NOT NULL,
    kind   TEXT   NOT NULL,
    key    BLOB   NOT NULL,
    sealed BLOB   NOT NULL,
    at     BIGINT NOT NULL,
    UNIQUE (member, kind, key)
);
