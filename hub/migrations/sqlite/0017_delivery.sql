-- The keys of events that were stored long ago are pruned. All seqs up to `pruned` are stored or gone, and `pruned_events` of them were events;
-- `marked` is how far `upto` was at `marked_at`, and is pruned when that is long enough ago.
ALTER TABLE progress ADD COLUMN pruned BIGINT NOT NULL DEFAULT 0;
ALTER TABLE progress ADD COLUMN pruned_events BIGINT NOT NULL DEFAULT 0;
ALTER TABLE progress ADD COLUMN marked BIGINT NOT NULL DEFAULT 0;
ALTER TABLE progress ADD COLUMN marked_at BIGINT NOT NULL DEFAULT 0;

-- When the gateway said that the command has reached it. Until then it is published again and again.
ALTER TABLE gateway_command ADD COLUMN answered_at BIGINT NULL;
