-- Tokens of an installation that expire before this were taken back.
ALTER TABLE installation ADD COLUMN denied_until BIGINT NULL;
