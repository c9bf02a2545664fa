-- Which variant of a test was shown at the moment that made the link, such as one of two forms to log in.
ALTER TABLE link ADD COLUMN variant TEXT NULL;
CREATE INDEX link_variant ON link (at) WHERE variant IS NOT NULL;
CREATE INDEX touchpoint_variant ON touchpoint (at) WHERE variant IS NOT NULL;
