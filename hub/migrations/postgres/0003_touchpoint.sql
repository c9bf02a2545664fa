-- Contacts with the brand and till tickets, under the identifier that they came with. The person is resolved when they are read,
-- so a late link re-attributes the past and nothing here is ever rewritten.

CREATE TABLE touchpoint (
    id              TEXT   PRIMARY KEY, -- source/key
    at              BIGINT NOT NULL,
    kind            TEXT   NOT NULL,
    campaign        TEXT   NULL,
    channel         TEXT   NULL,
    sku             TEXT   NULL,
    size            TEXT   NULL,
    identifier_kind TEXT   NOT NULL,
    identifier      BYTEA  NOT NULL,
    received_at     BIGINT NOT NULL
);
CREATE INDEX touchpoint_identifier ON touchpoint (identifier_kind, identifier, at);
CREATE INDEX touchpoint_at ON touchpoint (at);

-- A ticket without an identifier is of nobody in particular.
CREATE TABLE purchase (
    store           TEXT   NOT NULL,
    ticket          TEXT   NOT NULL,
    at              BIGINT NOT NULL,
    identifier_kind TEXT   NULL,
    identifier      BYTEA  NULL,
    received_at     BIGINT NOT NULL,
    PRIMARY KEY (store, ticket)
);
CREATE INDEX purchase_identifier ON purchase (identifier_kind, identifier, at);
CREATE INDEX purchase_at ON purchase (at);

CREATE TABLE purchase_line (
    store  TEXT   NOT NULL,
    ticket TEXT   NOT NULL,
    line   BIGINT NOT NULL, -- from 1, in the order of the file
    sku    TEXT   NOT NULL,
    cents  BIGINT NOT NULL, -- negative for a return
    PRIMARY KEY (store, ticket, line),
    FOREIGN KEY (store, ticket) REFERENCES purchase (store, ticket)
);
