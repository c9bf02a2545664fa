-- Persons: members that turned out to be one, keys that change hands, statements that tie nothing.

-- The member who stands for the person; her own id stays an alias for ever.
ALTER TABLE member ADD COLUMN merged_into BIGINT NULL;
CREATE INDEX member_merged ON member (merged_into) WHERE merged_into IS NOT NULL;

-- When the holder was last identified by this key: what comes after, until somebody else is, is nobody's.
ALTER TABLE identifier ADD COLUMN seen_at BIGINT NOT NULL DEFAULT 0;

ALTER TABLE link ADD COLUMN context TEXT NOT NULL DEFAULT ''; -- in which a CRM number counts
ALTER TABLE link ADD COLUMN last_at BIGINT NOT NULL DEFAULT 0; -- said again
ALTER TABLE link ADD COLUMN refused TEXT NULL;                 -- why it ties nothing, as the graph reads it now
ALTER TABLE link ADD COLUMN revoked_by TEXT NULL;
ALTER TABLE link ADD COLUMN revoked_why TEXT NULL;
CREATE INDEX link_reason ON link (reason, at);

-- Times in which a key was somebody else's.
CREATE TABLE former_holder (
    kind   TEXT   NOT NULL,
    key    BYTEA  NOT NULL,
    member BIGINT NOT NULL,
    since  BIGINT NOT NULL,
    until  BIGINT NOT NULL,
    PRIMARY KEY (kind, key, since)
);
CREATE INDEX former_holder_member ON former_holder (member);

-- Values that named too many members: they join nobody for good.
CREATE TABLE shared_key (
    kind TEXT   NOT NULL,
    key  BYTEA  NOT NULL,
    at   BIGINT NOT NULL,
    PRIMARY KEY (kind, key)
);

-- Append-only: which member went into which, by which link or operator, and what the survivor had consented to before.
CREATE TABLE merge (
    id              TEXT   PRIMARY KEY,
    member          BIGINT NOT NULL,
    survivor        BIGINT NOT NULL,
    source          TEXT   NOT NULL,
    reason          TEXT   NOT NULL,
    at              BIGINT NOT NULL,
    consents_before TEXT   NOT NULL, -- JSON
    undone_at       BIGINT NULL
);
CREATE INDEX merge_member ON merge (member);
CREATE INDEX merge_survivor ON merge (survivor);

-- Rows that stand under the survivor and go back to their member when the two are told apart again.
CREATE TABLE moved_row (
    what   TEXT   NOT NULL, -- visit, decision, message, installation
    ref    TEXT   NOT NULL,
    origin BIGINT NOT NULL,
    PRIMARY KEY (what, ref)
);
CREATE INDEX moved_row_origin ON moved_row (origin);
