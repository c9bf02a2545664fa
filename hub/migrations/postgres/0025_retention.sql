-- When a member was last heard of, as far as the rows that told it are gone by now; the rest is read where it stands (store/people/activity.rs).
ALTER TABLE member ADD COLUMN active_at BIGINT NOT NULL DEFAULT 0;
CREATE INDEX member_active ON member (active_at) WHERE merged_into IS NULL;

-- Cookies that nobody logged in with for long are found by this.
CREATE INDEX link_cookie ON link (last_at) WHERE kind = 'cookie';

-- Append-only: who looked at what is known of a member, and when. Members by their number only, never a value.
CREATE TABLE audit (
    id      TEXT   PRIMARY KEY,
    at      BIGINT NOT NULL,
    actor   TEXT   NOT NULL, -- os:NAME of a command, console, or member for her own page
    action  TEXT   NOT NULL,
    subject BIGINT NOT NULL
);
CREATE INDEX audit_at ON audit (at);
CREATE INDEX audit_subject ON audit (subject);
