-- What each gateway last said of itself. Times are business milliseconds.
CREATE TABLE gateway_state (
    gateway TEXT NOT NULL PRIMARY KEY,
    boot TEXT NOT NULL,
    online BIGINT NOT NULL,
    at BIGINT NOT NULL,
    version TEXT NOT NULL,
    backlog BIGINT NOT NULL,
    oldest_ms BIGINT NOT NULL,
    site_revision BIGINT NOT NULL,
    -- words with blanks between them
    flags TEXT NOT NULL,
    heard_at BIGINT NOT NULL
);
