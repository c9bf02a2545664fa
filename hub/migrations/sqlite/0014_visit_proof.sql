-- How a visit is known, and how well.
ALTER TABLE visit ADD COLUMN evidence   TEXT   NOT NULL DEFAULT '';
ALTER TABLE visit ADD COLUMN accuracy_m DOUBLE PRECISION;
ALTER TABLE visit ADD COLUMN confidence TEXT   NOT NULL DEFAULT 'low';
ALTER TABLE visit ADD COLUMN reasons    TEXT   NOT NULL DEFAULT '';
ALTER TABLE visit ADD COLUMN rules      TEXT   NOT NULL DEFAULT '1';
-- how often it was told again with other figures after it was closed, and why the last time
ALTER TABLE visit ADD COLUMN revision   BIGINT NOT NULL DEFAULT 0;
ALTER TABLE visit ADD COLUMN revised    TEXT;

-- Who works or lives in a store: the label and its end, nothing of the pattern behind it.
CREATE TABLE regular (
    member   BIGINT NOT NULL,
    store    TEXT   NOT NULL,
    reason   TEXT   NOT NULL,
    since_at BIGINT NOT NULL,
    until_at BIGINT NOT NULL,
    PRIMARY KEY (member, store)
);
CREATE INDEX regular_until ON regular (until_at);

-- Somebody at a counter had an identifier in hand: a ticket, a loyalty card, an order that was picked up. The member is looked up when the row is
-- taken, so a link that comes within its time still counts. Rows go when they were taken, and after 72 h.
CREATE TABLE counter_moment (
    id              TEXT   NOT NULL PRIMARY KEY,
    store           TEXT   NOT NULL,
    kind            TEXT   NOT NULL,
    at              BIGINT NOT NULL,
    identifier_kind TEXT   NOT NULL,
    identifier      BLOB NOT NULL,
    received_at     BIGINT NOT NULL,
    -- whose work it is in the table todo, from then on
    member          BIGINT
);
CREATE INDEX counter_moment_waiting ON counter_moment (identifier_kind, identifier) WHERE member IS NULL;
CREATE INDEX counter_moment_received ON counter_moment (received_at);
