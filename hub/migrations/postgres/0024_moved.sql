-- Whose number it is that a message was sealed for, once the message has followed her into another member; NULL while that is `member`.
ALTER TABLE message ADD COLUMN sealed_for BIGINT NULL;
