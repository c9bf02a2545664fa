-- Which of the machines that were this gateway one after another is the present one: its certificate has this number in its name, so what the broker
-- denies to an earlier machine stays denied when the next one has enrolled.
ALTER TABLE fleet_gateway ADD COLUMN machine BIGINT NOT NULL DEFAULT 1;
UPDATE fleet_gateway SET machine = 2 WHERE barred = 1 AND invitation IS NOT NULL;
