-- The authority that issues the certificates of the fleet. Its key is sealed. Times in this file are machine time in milliseconds.
CREATE TABLE fleet_authority (
    id          BIGINT PRIMARY KEY,
    certificate TEXT   NOT NULL,
    sealed      BYTEA NOT NULL,
    made_at     BIGINT NOT NULL
);

-- Gateways that were invited. barred: nothing is taken from it and nothing sent to it.
CREATE TABLE fleet_gateway (
    gateway     TEXT   PRIMARY KEY,
    store       TEXT   NULL,
    position    BIGINT NOT NULL,
    barred      BIGINT NOT NULL,
    invitation  BYTEA NULL,
    good_until  BIGINT NULL,
    changed_at  BIGINT NOT NULL
);
CREATE UNIQUE INDEX fleet_gateway_invitation ON fleet_gateway (invitation);

-- Every certificate that a gateway ever got, until it has ended.
CREATE TABLE fleet_certificate (
    serial      TEXT   PRIMARY KEY,
    gateway     TEXT   NOT NULL,
    ends_at     BIGINT NOT NULL,
    revoked_at  BIGINT NULL
);
CREATE INDEX fleet_certificate_gateway ON fleet_certificate (gateway);
