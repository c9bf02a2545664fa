-- How the radio of each gateway did when it was last heard of. Counters are of the run `boot` alone.
CREATE TABLE gateway_radio (
    gateway TEXT NOT NULL PRIMARY KEY,
    boot TEXT NOT NULL,
    at BIGINT NOT NULL,
    adverts BIGINT NOT NULL,
    adverts_10s BIGINT NOT NULL,
    sightings BIGINT NOT NULL,
    sightings_10s BIGINT NOT NULL,
    silent_ms BIGINT NOT NULL,
    queued BIGINT NOT NULL,
    dropped BIGINT NOT NULL,
    scans BIGINT NOT NULL,
    connections BIGINT NOT NULL,
    daemons BIGINT NOT NULL
);
