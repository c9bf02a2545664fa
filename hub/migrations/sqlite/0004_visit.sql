-- Stays of members in stores. Times are business milliseconds.
CREATE TABLE visit (
    id         TEXT   PRIMARY KEY,
    member     BIGINT NOT NULL,
    store      TEXT   NOT NULL,
    start_at   BIGINT NOT NULL,
    end_at     BIGINT NOT NULL,
    dwell_ms   BIGINT NOT NULL,
    label      TEXT   NOT NULL,
    is_open    BIGINT NOT NULL,
    -- first and last evidence of any kind, also in front of the store: by these later evidence finds the row
    seen_from  BIGINT NOT NULL,
    seen_to    BIGINT NOT NULL,
    -- the evidence as JSON: spans of time and what was told, nothing about radio or places
    state      TEXT   NOT NULL,
    updated_at BIGINT NOT NULL
);
CREATE INDEX visit_member ON visit (member, store, seen_to);
CREATE INDEX visit_start ON visit (start_at);

-- One evaluation of one offer, with its reasons.
CREATE TABLE decision (
    id              TEXT   PRIMARY KEY,
    member          BIGINT NOT NULL,
    brand           TEXT   NOT NULL,
    entity          TEXT   NOT NULL,
    offer           TEXT   NOT NULL,
    store           TEXT   NOT NULL,
    trigger_kind    TEXT   NOT NULL,
    visit           TEXT,
    at              BIGINT NOT NULL,
    -- 'send', or the name of the refusal
    result          TEXT   NOT NULL,
    -- every check with its outcome, as JSON
    reasons         TEXT   NOT NULL,
    config_revision TEXT   NOT NULL
);
CREATE INDEX decision_member ON decision (member, at);
CREATE INDEX decision_at ON decision (at);
CREATE INDEX decision_visit ON decision (visit);
