-- What gateways said, and the work that follows from it.

CREATE TABLE event (
    id TEXT NOT NULL PRIMARY KEY,
    gateway TEXT NOT NULL,
    epoch TEXT NOT NULL,
    seq BIGINT NOT NULL,
    store TEXT NOT NULL,
    zone TEXT NOT NULL,
    subject_kind TEXT NOT NULL,
    signal TEXT NOT NULL,
    phase TEXT NOT NULL,
    at BIGINT NOT NULL,
    at_corrected BIGINT NOT NULL,
    first_at BIGINT NOT NULL,
    last_at BIGINT NOT NULL,
    strength TEXT NOT NULL,
    initial BIGINT NOT NULL,
    late BIGINT NOT NULL,
    received_at BIGINT NOT NULL,
    -- NULL while nobody is known for the subject.
    member BIGINT,
    -- JSON, only while nobody is known for it, and never longer than 48 h.
    subject TEXT
);
CREATE INDEX event_member ON event (member, at_corrected) WHERE member IS NOT NULL;
CREATE INDEX event_unresolved ON event (received_at) WHERE member IS NULL;

-- What makes an event count once. Narrow, so that it can outlive the event.
CREATE TABLE event_key (
    gateway TEXT NOT NULL,
    epoch TEXT NOT NULL,
    seq BIGINT NOT NULL,
    event_id TEXT NOT NULL,
    PRIMARY KEY (gateway, epoch, seq)
);

-- Seqs that a gateway accounts for but cannot deliver.
CREATE TABLE gone (
    gateway TEXT NOT NULL,
    epoch TEXT NOT NULL,
    from_seq BIGINT NOT NULL,
    to_seq BIGINT NOT NULL,
    reason TEXT NOT NULL,
    at BIGINT NOT NULL,
    PRIMARY KEY (gateway, epoch, from_seq, to_seq)
);

-- Everything up to `upto` is stored or gone; `max` is the highest seq heard of. `forked`: two outboxes write the same epoch.
CREATE TABLE progress (
    gateway TEXT NOT NULL,
    epoch TEXT NOT NULL,
    upto BIGINT NOT NULL,
    max BIGINT NOT NULL,
    forked BIGINT NOT NULL,
    seen_at BIGINT NOT NULL,
    PRIMARY KEY (gateway, epoch)
);

-- Payloads that could not be used, for 48 h.
CREATE TABLE quarantine (
    id TEXT NOT NULL PRIMARY KEY,
    at BIGINT NOT NULL,
    gateway TEXT,
    reason TEXT NOT NULL,
    size BIGINT NOT NULL,
    raw BLOB NOT NULL
);
CREATE INDEX quarantine_at ON quarantine (at);
CREATE INDEX quarantine_gateway ON quarantine (gateway);

-- The hubs' common signing keys, sealed with the secret of the key file.
CREATE TABLE hub_key (
    id TEXT NOT NULL PRIMARY KEY,
    public TEXT NOT NULL,
    sealed BLOB NOT NULL,
    made_at BIGINT NOT NULL
);

-- Work by shard of the member. kind 'event': ref is an event id. kind 'visit': ref is a visit id, due when time alone decides something.
CREATE TABLE todo (
    shard BIGINT NOT NULL,
    member BIGINT NOT NULL,
    due BIGINT NOT NULL,
    kind TEXT NOT NULL,
    ref TEXT NOT NULL,
    failures BIGINT NOT NULL DEFAULT 0,
    PRIMARY KEY (kind, ref)
);
CREATE INDEX todo_due ON todo (shard, due);
CREATE INDEX todo_member ON todo (member);

-- One row per shard, to lock.
CREATE TABLE shard (id BIGINT NOT NULL PRIMARY KEY);
INSERT INTO shard (id) VALUES
    (0), (1), (2), (3), (4), (5), (6), (7), (8), (9), (10), (11), (12), (13), (14), (15),
    (16), (17), (18), (19), (20), (21), (22), (23), (24), (25), (26), (27), (28), (29), (30), (31),
    (32), (33), (34), (35), (36), (37), (38), (39), (40), (41), (42), (43), (44), (45), (46), (47),
    (48), (49), (50), (51), (52), (53), (54), (55), (56), (57), (58), (59), (60), (61), (62), (63);

-- Work that failed even alone, for a person to look at.
CREATE TABLE parked_work (
    kind TEXT NOT NULL,
    ref TEXT NOT NULL,
    member BIGINT NOT NULL,
    reason TEXT NOT NULL,
    at BIGINT NOT NULL,
    PRIMARY KEY (kind, ref)
);
