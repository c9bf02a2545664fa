-- More that a touchpoint may say. What rests in an index is only what is searched: the key of an identifier holds its kind.
ALTER TABLE touchpoint ADD COLUMN source TEXT NULL;
ALTER TABLE touchpoint ADD COLUMN medium TEXT NULL;
ALTER TABLE touchpoint ADD COLUMN click_id TEXT NULL;
ALTER TABLE touchpoint ADD COLUMN category TEXT NULL;
ALTER TABLE touchpoint ADD COLUMN store TEXT NULL;
ALTER TABLE touchpoint ADD COLUMN variant TEXT NULL;
ALTER TABLE touchpoint ADD COLUMN outcome TEXT NULL;
-- keyed hash of the order's number
ALTER TABLE touchpoint ADD COLUMN order_key BYTEA NULL;
ALTER TABLE touchpoint ADD COLUMN cents BIGINT NULL;
DROP INDEX touchpoint_identifier;
CREATE INDEX touchpoint_identifier ON touchpoint (identifier, at);
-- Bytes in their order whatever the database's language is: faster, and the same order as on SQLite.
ALTER TABLE touchpoint ALTER COLUMN id TYPE TEXT COLLATE "C";
-- Rows arrive about in the order of their time, so a summary of blocks finds what is past its retention and costs nearly nothing to keep.
DROP INDEX touchpoint_at;
CREATE INDEX touchpoint_at ON touchpoint USING BRIN (at);
CREATE INDEX touchpoint_order ON touchpoint (order_key) WHERE order_key IS NOT NULL;

-- What became of the rows of each source, by UTC day of arrival. `outcome` is stored, duplicate, a reason of refusal, or a field that stored rows had.
CREATE TABLE touchpoint_tally (
    source  TEXT   NOT NULL,
    day     BIGINT NOT NULL,
    kind    TEXT   NOT NULL,
    outcome TEXT   NOT NULL,
    count   BIGINT NOT NULL,
    PRIMARY KEY (source, day, kind, outcome)
);

-- Exposures of nobody in particular: opened mails and followed links without consent, and sums that platforms report.
CREATE TABLE exposure_total (
    source   TEXT   NOT NULL,
    day      BIGINT NOT NULL, -- UTC day
    campaign TEXT   NOT NULL,
    channel  TEXT   NOT NULL,
    kind     TEXT   NOT NULL,
    count    BIGINT NOT NULL,
    PRIMARY KEY (source, day, campaign, channel, kind)
);

-- Advertising in the street, by time and place: everybody who was there may have seen it.
CREATE TABLE store_exposure (
    id       TEXT   PRIMARY KEY,
    store    TEXT   NOT NULL,
    campaign TEXT   NOT NULL,
    channel  TEXT   NOT NULL,
    starts   BIGINT NOT NULL,
    ends     BIGINT NOT NULL
);
CREATE INDEX store_exposure_store ON store_exposure (store, ends);
