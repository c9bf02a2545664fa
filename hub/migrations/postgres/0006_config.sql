-- Configuration that went live: each revision holds every file that marketers edit, signed by the hubs' common key.
CREATE TABLE config_revision (
    revision   BIGINT PRIMARY KEY,
    applied_at BIGINT NOT NULL,
    sha256     TEXT   NOT NULL,
    files      TEXT   NOT NULL,
    key_id     TEXT   NOT NULL,
    signature  TEXT   NOT NULL
);
