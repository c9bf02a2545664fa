-- What is past its retention is found by these.
CREATE INDEX event_received ON event (received_at) WHERE member IS NOT NULL;
CREATE INDEX message_planned ON message (planned_at);
