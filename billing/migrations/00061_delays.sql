-- +goose Up
-- Post-dial delays are kept as one row for each row of what they are of, with all classes: so there are no more of them than of the
-- rollups' rows, however much delays differ. A class is exact to 128 ms; above that no class is wider than 1/64 of its delays, so that its middle is
-- less than 0.8 % from each.
CREATE TABLE patchbay.rollup_delay (
    cube      text        NOT NULL,
    grain     char(1)     NOT NULL CHECK (grain IN ('q', 'd')),
    slot      timestamptz NOT NULL,
    key       text        NOT NULL,
    tenant    text        NOT NULL,
    direction text        NOT NULL,
    bins      bigint[]    NOT NULL, -- class * 2^40 + calls; a class may stand there several times: they are put together after every 32
    PRIMARY KEY (cube, grain, slot, key, tenant, direction)
) WITH (fillfactor = 70);

-- Where Postgres has it, what is quick to compress: rows are written often.
-- +goose StatementBegin
DO $$
BEGIN
    ALTER TABLE patchbay.rollup_delay ALTER COLUMN bins SET COMPRESSION lz4;
EXCEPTION WHEN feature_not_supported OR syntax_error OR invalid_parameter_value THEN
    NULL;
END $$;
-- +goose StatementEnd

-- The number of the class that a delay is in, 0 to 1023: with s = 0 up to 128 ms, and one more for each doubling, 64 * s + ms / 2^s.
CREATE FUNCTION patchbay.delay_class(ms bigint) RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
SELECT CASE WHEN ms < 128 THEN ms WHEN ms < 256 THEN 64 + ms / 2 WHEN ms < 512 THEN 128 + ms / 4 WHEN ms < 1024 THEN 192 + ms / 8 WHEN ms < 2048 THEN 256 + ms / 16
    WHEN ms < 4096 THEN 320 + ms / 32 WHEN ms < 8192 THEN 384 + ms / 64 WHEN ms < 16384 THEN 448 + ms / 128 WHEN ms < 32768 THEN 512 + ms / 256 WHEN ms < 65536 THEN 576 + ms / 512
    WHEN ms < 131072 THEN 640 + ms / 1024 WHEN ms < 262144 THEN 704 + ms / 2048 WHEN ms < 524288 THEN 768 + ms / 4096 WHEN ms < 1048576 THEN 832 + ms / 8192
    WHEN ms < 2097152 THEN 896 + ms / 16384 ELSE 1023 END $$;

-- What was counted so far: of calls that are kept as they say, day by day; of those that are gone where the middle of their class was, which was
-- up to 1/32 wide.
-- +goose StatementBegin
DO $$
DECLARE
    first timestamptz := (SELECT patchbay.utc_day(min(started_at)) FROM patchbay.counted);
    d timestamptz;
BEGIN
    FOR d IN SELECT generate_series(first, (SELECT max(started_at) FROM patchbay.counted), '24:00:00') LOOP
        INSERT INTO patchbay.rollup_delay
        SELECT cube, grain, slot, key, tenant, direction, array_agg(class * 1099511627776 + n ORDER BY class) FROM (
            SELECT x.cube, g.grain, g.slot, x.key, c.tenant, c.direction, patchbay.delay_class(c.pdd_ms) AS class, count(*) AS n
            FROM patchbay.counted c
            CROSS JOIN LATERAL (VALUES ('trunk', c.trunk, c.leg_no > 0), ('account', c.account, c.leg_no = 0), ('destination', c.destination, c.leg_no = 0), ('codec', c.codec, c.leg_no = 0),
                ('cause', c.cause, c.leg_no = 0)) AS x (cube, key, counts)
            CROSS JOIN LATERAL (VALUES ('q', patchbay.quarter(c.started_at)), ('d', patchbay.utc_day(c.started_at))) AS g (grain, slot)
            WHERE c.started_at >= d AND c.started_at < d + interval '24:00:00' AND x.counts AND c.pdd_ms IS NOT NULL
            GROUP BY 1, 2, 3, 4, 5, 6, 7) x
        GROUP BY 1, 2, 3, 4, 5, 6;
    END LOOP;
    INSERT INTO patchbay.rollup_delay
    SELECT cube, grain, slot, key, tenant, direction, array_agg(class * 1099511627776 + n ORDER BY class) FROM (
        SELECT cube, grain, slot, key, tenant, direction, patchbay.delay_class(pdd_ms + CASE WHEN pdd_ms < 64 THEN 0 WHEN pdd_ms < 128 THEN 1 WHEN pdd_ms < 256 THEN 2 WHEN pdd_ms < 512 THEN 4
            WHEN pdd_ms < 1024 THEN 8 WHEN pdd_ms < 2048 THEN 16 WHEN pdd_ms < 4096 THEN 32 WHEN pdd_ms < 8192 THEN 64 WHEN pdd_ms < 16384 THEN 128 WHEN pdd_ms < 32768 THEN 256
            WHEN pdd_ms < 65536 THEN 512 WHEN pdd_ms < 131072 THEN 1024 ELSE 2048 END) AS class, sum(n)::bigint AS n
        FROM patchbay.rollup_pdd WHERE n <> 0 AND (first IS NULL OR slot < first) GROUP BY 1, 2, 3, 4, 5, 6, 7) x
    GROUP BY 1, 2, 3, 4, 5, 6;
END $$;
-- +goose StatementEnd
DROP TABLE patchbay.rollup_pdd;
DROP FUNCTION patchbay.pdd_class(bigint);

-- Adds what rows of counted count for to the rollups, or takes it away: sign is 1 or -1. Rows are met in the order of their keys, so
-- that two writers can't wait for each other.
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION patchbay.roll(list patchbay.counted[], sign integer) RETURNS void LANGUAGE sql AS $$
INSERT INTO patchbay.rollup AS r (cube, grain, slot, key, tenant, direction, sell_currency, buy_currency, house, calls, seizures, answered, effective, bill_ms, duration_ms, pdd_n, pdd_ms,
    sell, sell_house, buy, buy_house, unpriced, losses, mos_n, mos, one_way, fas, pkts, lost, jitter_n, jitter_ms)
SELECT x.cube, g.grain, g.slot, x.key, c.tenant, c.direction, c.sell_currency, c.buy_currency, c.house, sign * count(*), sign * sum(c.seizures), sign * sum(c.answered), sign * sum(c.effective),
    sign * sum(c.bill_ms), sign * sum(c.duration_ms), sign * count(c.pdd_ms), sign * COALESCE(sum(c.pdd_ms), 0), sign * sum(c.sell), sign * sum(c.sell_house), sign * sum(c.buy), sign * sum(c.buy_house),
    sign * sum(c.unpriced), sign * sum(c.losses), sign * count(c.mos), sign * COALESCE(sum(c.mos), 0), sign * sum(c.one_way), sign * sum(c.fas), sign * sum(c.pkts), sign * sum(c.lost),
    sign * count(c.jitter_ms), sign * COALESCE(sum(c.jitter_ms), 0)
FROM unnest(list) AS c
CROSS JOIN LATERAL (VALUES ('trunk', c.trunk, c.leg_no > 0), ('account', c.account, c.leg_no = 0), ('destination', c.destination, c.leg_no = 0), ('codec', c.codec, c.leg_no = 0),
    ('cause', c.cause, c.leg_no = 0)) AS x (cube, key, counts)
CROSS JOIN LATERAL (VALUES ('q', patchbay.quarter(c.started_at)), ('d', patchbay.utc_day(c.started_at))) AS g (grain, slot)
WHERE x.counts
GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9
ORDER BY 1, 2, 3, 4, 5, 6, 7, 8, 9
ON CONFLICT (cube, grain, slot, key, tenant, direction, sell_currency, buy_currency, house) DO UPDATE SET
    calls = r.calls + excluded.calls, seizures = r.seizures + excluded.seizures, answered = r.answered + excluded.answered, effective = r.effective + excluded.effective,
    bill_ms = r.bill_ms + excluded.bill_ms, duration_ms = r.duration_ms + excluded.duration_ms, pdd_n = r.pdd_n + excluded.pdd_n, pdd_ms = r.pdd_ms + excluded.pdd_ms,
    sell = r.sell + excluded.sell, sell_house = r.sell_house + excluded.sell_house, buy = r.buy + excluded.buy, buy_house = r.buy_house + excluded.buy_house,
    unpriced = r.unpriced + excluded.unpriced, losses = r.losses + excluded.losses, mos_n = r.mos_n + excluded.mos_n, mos = r.mos + excluded.mos,
    one_way = r.one_way + excluded.one_way, fas = r.fas + excluded.fas, pkts = r.pkts + excluded.pkts, lost = r.lost + excluded.lost,
    jitter_n = r.jitter_n + excluded.jitter_n, jitter_ms = r.jitter_ms + excluded.jitter_ms;
INSERT INTO patchbay.rollup_delay AS r
SELECT cube, grain, slot, key, tenant, direction, array_agg(class * 1099511627776 + sign * n ORDER BY class) FROM (
    SELECT x.cube, g.grain, g.slot, x.key, c.tenant, c.direction, patchbay.delay_class(c.pdd_ms) AS class, count(*) AS n
    FROM unnest(list) AS c
    CROSS JOIN LATERAL (VALUES ('trunk', c.trunk, c.leg_no > 0), ('account', c.account, c.leg_no = 0), ('destination', c.destination, c.leg_no = 0), ('codec', c.codec, c.leg_no = 0),
        ('cause', c.cause, c.leg_no = 0)) AS x (cube, key, counts)
    CROSS JOIN LATERAL (VALUES ('q', patchbay.quarter(c.started_at)), ('d', patchbay.utc_day(c.started_at))) AS g (grain, slot)
    WHERE x.counts AND c.pdd_ms IS NOT NULL
    GROUP BY 1, 2, 3, 4, 5, 6, 7) d
GROUP BY 1, 2, 3, 4, 5, 6
ORDER BY 1, 2, 3, 4, 5, 6
ON CONFLICT (cube, grain, slot, key, tenant, direction) DO UPDATE SET bins = CASE WHEN cardinality(r.bins) / 32 = (cardinality(r.bins) + cardinality(excluded.bins)) / 32 THEN r.bins || excluded.bins
    ELSE (SELECT array_agg(class * 1099511627776 + n) FROM (
        SELECT (bin + 549755813888) >> 40 AS class, sum(bin - ((bin + 549755813888) >> 40 << 40))::bigint AS n FROM unnest(r.bins || excluded.bins) AS bin GROUP BY 1) c) END;
$$;
-- +goose StatementEnd
