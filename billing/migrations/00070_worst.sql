-- +goose Up
-- The legs that sounded worst, by the score that they are told by: with the delay where it is known. Of a large table the index takes minutes, in which
-- records wait in the journal.
DROP INDEX patchbay.leg_quality_worst;
CREATE INDEX leg_quality_mos ON patchbay.leg_quality (COALESCE(mos_cq, mos_lq), started_at) WHERE bucket = 0;

-- +goose Down
DROP INDEX patchbay.leg_quality_mos;
CREATE INDEX leg_quality_worst ON patchbay.leg_quality (mos_cq, started_at) WHERE bucket = 0;
