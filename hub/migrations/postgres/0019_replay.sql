-- Keyed hash of the rotating id behind an event of a member: tells whether two events are about one id, and nothing else.
ALTER TABLE event ADD COLUMN mark BIGINT;

-- Where each rotating id was heard, to notice one that is in two places at once. Rows go after 48 h.
CREATE TABLE rid_heard (
    member   BIGINT NOT NULL,
    mark     BIGINT NOT NULL,
    store    TEXT   NOT NULL,
    first_at BIGINT NOT NULL,
    last_at  BIGINT NOT NULL,
    -- the gateway trusted its clock each time
    sure     BIGINT NOT NULL,
    PRIMARY KEY (member, mark, store)
);
CREATE INDEX rid_heard_last ON rid_heard (last_at);

-- One rotating id in two stores between which nobody travels so fast: it was copied and played again, and which of the two was her phone nobody
-- can tell. `store` comes before `other` in the alphabet.
CREATE TABLE replay (
    id       TEXT   NOT NULL PRIMARY KEY,
    member   BIGINT NOT NULL,
    mark     BIGINT NOT NULL,
    store    TEXT   NOT NULL,
    other    TEXT   NOT NULL,
    -- first and last evidence in either store
    from_at  BIGINT NOT NULL,
    to_at    BIGINT NOT NULL,
    -- when it was noticed
    at       BIGINT NOT NULL
);
CREATE INDEX replay_member ON replay (member);
CREATE INDEX replay_at ON replay (at);
