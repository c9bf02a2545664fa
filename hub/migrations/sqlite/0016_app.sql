-- What an app holds to speak for itself, as keyed hash.
ALTER TABLE installation ADD COLUMN secret BLOB NULL;

-- How old she says she is: a band, never a date.
ALTER TABLE member ADD COLUMN age_band TEXT NULL;
ALTER TABLE member ADD COLUMN age_at BIGINT NULL;
