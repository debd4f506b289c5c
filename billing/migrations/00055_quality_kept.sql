-- +goose Up
-- Calls are counted anew when they are rated again, which may be long after their rows of quality were dropped: what they sounded like is then
-- what it was.
CREATE FUNCTION patchbay.with_quality(now_is patchbay.counted[], before patchbay.counted[]) RETURNS patchbay.counted[] LANGUAGE sql IMMUTABLE AS $$
SELECT array_agg(CASE WHEN n.pkts = 0 AND n.lost = 0 AND n.jitter_ms IS NULL AND b.call_id IS NOT NULL
    THEN jsonb_populate_record(n, jsonb_build_object('pkts', b.pkts, 'lost', b.lost, 'jitter_ms', b.jitter_ms, 'mos', COALESCE(n.mos, b.mos), 'one_way', GREATEST(n.one_way, b.one_way))) ELSE n END)
FROM unnest(now_is) AS n LEFT JOIN unnest(before) AS b ON b.call_id = n.call_id AND b.leg_no = n.leg_no $$;

-- +goose StatementBegin
CREATE OR REPLACE FUNCTION patchbay.count_calls(ids uuid[], times timestamptz[], destinations text[], payers text[] DEFAULT NULL) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    before patchbay.counted[];
    now_is patchbay.counted[];
BEGIN
    PERFORM FROM patchbay.call c WHERE c.call_id = ANY (ids) AND c.started_at = ANY (times) ORDER BY c.call_id FOR NO KEY UPDATE;
    SELECT array_agg(x::patchbay.counted) INTO now_is FROM patchbay.counts(ids, times, destinations, payers) AS x;
    IF now_is IS NULL THEN
        RETURN;
    END IF;
    WITH gone AS (
        DELETE FROM patchbay.counted c USING (SELECT DISTINCT call_id, started_at FROM unnest(now_is)) n WHERE c.call_id = n.call_id AND c.started_at = n.started_at
        RETURNING c.*)
    SELECT array_agg(g::patchbay.counted) INTO before FROM gone g;
    IF before IS NOT NULL THEN
        now_is := patchbay.with_quality(now_is, before);
    END IF;
    INSERT INTO patchbay.counted SELECT * FROM unnest(now_is);
    IF before IS NULL THEN
        PERFORM patchbay.roll(now_is, 1);
    ELSIF (SELECT array_agg(b ORDER BY b) FROM unnest(before) b) IS DISTINCT FROM (SELECT array_agg(n ORDER BY n) FROM unnest(now_is) n) THEN
        PERFORM patchbay.roll(before, -1);
        PERFORM patchbay.roll(now_is, 1);
    END IF;
END $$;
-- +goose StatementEnd
