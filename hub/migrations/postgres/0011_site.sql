-- What each gateway gets of the site, packed as it is published. A revision has a row when it changed something for that gateway; the newest counts.
CREATE TABLE site_bundle (
    gateway  TEXT   NOT NULL,
    revision BIGINT NOT NULL,
    -- SHA-256 before compression: tells whether a revision changes anything for this gateway.
    content  TEXT   NOT NULL,
    -- SHA-256 of the parts, as its manifest has it.
    sha256   TEXT   NOT NULL,
    parts    BIGINT NOT NULL,
    packed   BYTEA   NOT NULL,
    PRIMARY KEY (gateway, revision)
);

-- A gateway may leave the revision that it holds for a lower one: the database was restored from an older copy.
CREATE TABLE site_rollback (
    gateway TEXT   PRIMARY KEY,
    held    BIGINT NOT NULL,
    made_at BIGINT NOT NULL
);

-- Signed commands to gateways. A running hub publishes each once.
CREATE TABLE gateway_command (
    id           TEXT   PRIMARY KEY,
    gateway      TEXT   NOT NULL,
    expires      BIGINT NOT NULL,
    payload      BYTEA   NOT NULL,
    published_at BIGINT NULL
);
