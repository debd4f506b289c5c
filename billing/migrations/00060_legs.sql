-- +goose Up
-- Every leg at a trunk is rated for what it has talked in a call, also one that came from another call. And what is money in the house's
-- currency says which that was: it may be another one day, and sums of both are never made.
ALTER TABLE patchbay.leg
    ADD COLUMN talk_ms      bigint, -- of an answered call; NULL: not answered, or of before it was kept
    ADD COLUMN talk_from_ms bigint, -- after the call's answer
    ADD COLUMN carried      jsonb;  -- what it is rated by, if it came from another call

-- The house's currency so far is that of the last rating that needed no exchange, else what the last event of a rating says.
-- +goose StatementBegin
DO $$
DECLARE
    house text := COALESCE((SELECT currency FROM patchbay.rating WHERE fx = 1 ORDER BY started_at DESC LIMIT 1),
        (SELECT jsonb_path_query_first(data, '$.ratings[*].houseIn') #>> '{}' FROM patchbay.call_event WHERE kind = 'rated' AND data @? '$.ratings[*].houseIn' ORDER BY started_at DESC LIMIT 1), '');
BEGIN
    EXECUTE format('ALTER TABLE patchbay.rating ADD COLUMN leg_no integer, ADD COLUMN house text DEFAULT %L', house);
    EXECUTE format('ALTER TABLE patchbay.counted ADD COLUMN house text NOT NULL DEFAULT %L', house);
    EXECUTE format('ALTER TABLE patchbay.rollup ADD COLUMN house text NOT NULL DEFAULT %L', house);
END $$;
-- +goose StatementEnd
ALTER TABLE patchbay.rating ALTER COLUMN house DROP DEFAULT;
ALTER TABLE patchbay.counted ALTER COLUMN house SET DEFAULT '';
ALTER TABLE patchbay.rollup ALTER COLUMN house SET DEFAULT '';
COMMENT ON COLUMN patchbay.rating.leg_no IS 'that it is of; 0 = talk within the house; NULL: of before it was kept';
COMMENT ON COLUMN patchbay.rating.house IS 'currency that fx leads to';
COMMENT ON COLUMN patchbay.counted.house IS 'currency of sell_house and buy_house; empty: no money; such as CHF+EUR: of both, which are then 0';

ALTER TABLE patchbay.rollup DROP CONSTRAINT rollup_pkey, ADD PRIMARY KEY (cube, grain, slot, key, tenant, direction, sell_currency, buy_currency, house);

CREATE OR REPLACE VIEW patchbay.rating_current AS
SELECT r.* FROM patchbay.rating r WHERE NOT EXISTS (SELECT FROM patchbay.rating s WHERE s.call_id = r.call_id AND s.started_at = r.started_at
    AND s.side = r.side AND s.run = r.run AND s.revision = r.revision + 1);

-- The leg that a rating is of which doesn't say so: of the way in that by which the call came; else the trunk's that answered, the callee's that did so last.
CREATE FUNCTION patchbay.rated_leg(call uuid, at timestamptz, of_side text, of_run text, of_account text) RETURNS integer LANGUAGE sql STABLE AS $$
SELECT CASE of_run WHEN 'internal' THEN 0 WHEN 'in' THEN max(leg_no) FILTER (WHERE role = 'caller')
    ELSE COALESCE(max(leg_no) FILTER (WHERE of_side = 'buy' AND answered_at IS NOT NULL AND 'trunk:' || trunk_id = of_account),
        (array_agg(leg_no ORDER BY role = 'callee' DESC, leg_no DESC) FILTER (WHERE answered_at IS NOT NULL))[1]) END
FROM patchbay.leg WHERE call_id = call AND started_at = at AND trunk_id IS NOT NULL $$;

-- What calls count for, as their rows are now. Destinations are those of calls that weren't sold or bought; payers who would have paid for
-- calls that weren't sold, '' = not known. All ratings that hold count, each at the leg of the trunk that it is of. What is sold, or bought, in two
-- currencies is never added up: the currency is then that of both, as EUR+USD, the amount 0. So is it with the currencies of the house.
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION patchbay.counts(ids uuid[], times timestamptz[], destinations text[], payers text[]) RETURNS SETOF patchbay.counted LANGUAGE sql STABLE AS $$
WITH asked AS (
    SELECT c.*, a.destination AS guess, a.payer AS would, COALESCE(c.q850, 0) || '/' || COALESCE(c.sip_code, 0) AS cause
    FROM unnest(ids, times, destinations, payers) AS a (call_id, started_at, destination, payer)
    JOIN patchbay.call c ON c.call_id = a.call_id AND c.started_at = a.started_at AND c.ended_at IS NOT NULL
), rated AS (
    SELECT a.call_id, r.side, r.run, r.account, r.currency::text AS currency, r.destination, COALESCE(r.leg_no, patchbay.rated_leg(a.call_id, a.started_at, r.side, r.run, r.account), 0) AS leg,
        CASE WHEN r.problem IS NULL THEN r.amount_rounded END AS amount, CASE WHEN r.problem IS NULL THEN r.amount_rounded * r.fx END AS in_house,
        CASE WHEN r.problem IS NULL AND r.fx IS NOT NULL THEN r.house END AS house,
        CASE WHEN r.run = '' THEN 0 WHEN r.run = 'internal' THEN 1 WHEN r.run LIKE 'in%' THEN 3 ELSE 2 END AS rank -- who pays for a call is who pays for the first
    FROM asked a CROSS JOIN LATERAL (SELECT DISTINCT ON (x.side, x.run) x.* FROM patchbay.rating x WHERE x.call_id = a.call_id AND x.started_at = a.started_at AND x.side <> 'custom'
        ORDER BY x.side, x.run, x.revision DESC) r
), money AS ( -- of each call, and of each of its legs
    SELECT call_id, leg, GROUPING(leg) = 1 AS whole,
        (array_agg(account ORDER BY rank, run) FILTER (WHERE side = 'sell'))[1] AS payer, (array_agg(leg ORDER BY rank, run) FILTER (WHERE side = 'sell'))[1] AS main,
        COALESCE(max(NULLIF(destination, '')) FILTER (WHERE side = 'sell' AND run = ''), max(NULLIF(destination, '')) FILTER (WHERE side = 'buy' AND run IN ('', 'internal'))) AS destination,
        COALESCE(string_agg(DISTINCT currency, '+' ORDER BY currency) FILTER (WHERE side = 'sell'), '') AS sell_currency,
        COALESCE(string_agg(DISTINCT currency, '+' ORDER BY currency) FILTER (WHERE side = 'buy'), '') AS buy_currency,
        CASE WHEN count(DISTINCT currency) FILTER (WHERE side = 'sell') > 1 THEN 0 ELSE COALESCE(sum(amount) FILTER (WHERE side = 'sell'), 0) END AS sell,
        CASE WHEN count(DISTINCT currency) FILTER (WHERE side = 'buy') > 1 THEN 0 ELSE COALESCE(sum(amount) FILTER (WHERE side = 'buy'), 0) END AS buy,
        COALESCE(string_agg(DISTINCT house, '+' ORDER BY house), '') AS house,
        CASE WHEN count(DISTINCT house) > 1 THEN 0 ELSE COALESCE(sum(in_house) FILTER (WHERE side = 'sell'), 0) END AS sell_house,
        CASE WHEN count(DISTINCT house) > 1 THEN 0 ELSE COALESCE(sum(in_house) FILTER (WHERE side = 'buy'), 0) END AS buy_house,
        count(*) FILTER (WHERE in_house IS NULL) AS unpriced,
        (count(*) FILTER (WHERE in_house IS NULL) = 0 AND count(DISTINCT house) = 1 AND count(DISTINCT side) = 2
            AND sum(in_house) FILTER (WHERE side = 'buy') > sum(in_house) FILTER (WHERE side = 'sell'))::int AS loses
    FROM rated GROUP BY GROUPING SETS ((call_id), (call_id, leg))
), sums AS (
    SELECT a.*, COALESCE(m.payer, NULLIF(a.would, ''), 'user:' || a.account, 'tenant:' || a.tenant) AS payer, m.main, COALESCE(m.sell_currency, '') AS sell_currency,
        COALESCE(m.buy_currency, '') AS buy_currency, COALESCE(m.sell, 0) AS sell, COALESCE(m.buy, 0) AS buy, COALESCE(m.house, '') AS house, COALESCE(m.sell_house, 0) AS sell_house,
        COALESCE(m.buy_house, 0) AS buy_house, COALESCE(m.unpriced, 0) AS unpriced, COALESCE(m.loses, 0) AS loses,
        COALESCE(m.destination, NULLIF(a.guess, ''), patchbay.country(COALESCE(a.b_e164, a.b_raw))) AS reached
    FROM asked a LEFT JOIN money m ON m.call_id = a.call_id AND m.whole
), legs AS ( -- with what was heard of each
    SELECT l.call_id, l.started_at, l.leg_no, l.role, l.direction, l.trunk_id, l.codec_rx, l.q850, l.sip_code, l.progress_at, l.answered_at, l.ended_at, l.pdd_ms, l.talk_ms,
        l.carried IS NOT NULL AS carried, q.pkts, q.lost, q.jitter, q.mos, q.one_way,
        last_value(l.leg_no) OVER by_sale AS sale,
        max(l.leg_no) FILTER (WHERE l.answered_at IS NOT NULL AND l.role = 'callee') OVER (PARTITION BY l.call_id) AS answerer
    FROM asked s
    JOIN patchbay.leg l ON l.call_id = s.call_id AND l.started_at = s.started_at
    LEFT JOIN LATERAL (SELECT sum(pkts) AS pkts, sum(lost) AS lost, avg(round(jitter_avg_ms::numeric, 1)) AS jitter, min(COALESCE(mos_cq, mos_lq)) AS mos, bool_or(one_way) AS one_way
        FROM patchbay.leg_quality q WHERE q.call_id = l.call_id AND q.started_at = l.started_at AND q.leg_no = l.leg_no AND q.stream = 'in' AND q.bucket = 0) q ON true
    WINDOW by_sale AS (PARTITION BY l.call_id ORDER BY l.trunk_id IS NOT NULL AND l.answered_at IS NOT NULL, l.role = 'callee', l.leg_no ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING)
), heard AS (
    SELECT call_id, COALESCE(max(codec_rx) FILTER (WHERE leg_no = answerer), max(codec_rx) FILTER (WHERE role = 'caller'), '') AS codec,
        COALESCE(sum(pkts), 0)::bigint AS pkts, COALESCE(sum(lost), 0)::bigint AS lost, round(avg(jitter), 3) AS jitter
    FROM legs GROUP BY call_id
)
SELECT s.call_id, 0, s.started_at, s.tenant, s.direction, '', s.payer, s.reached, COALESCE(h.codec, ''), s.cause, s.sell_currency, s.buy_currency,
    (s.attempts > 0 OR s.answered_at IS NOT NULL)::int, (s.answered_at IS NOT NULL)::int,
    ((s.attempts > 0 OR s.answered_at IS NOT NULL) AND patchbay.is_effective(s.answered_at IS NOT NULL, s.progress_at IS NOT NULL, COALESCE(s.sip_code, 0), COALESCE(s.q850, 0)))::int,
    s.bill_ms, s.duration_ms, s.pdd_ms, s.sell, s.sell_house, s.buy, s.buy_house, s.unpriced, s.loses, s.mos_avg,
    COALESCE(s.one_way, false)::int, COALESCE(s.fas_suspect, false)::int, COALESCE(h.pkts, 0), COALESCE(h.lost, 0), h.jitter, s.house
FROM sums s LEFT JOIN heard h ON h.call_id = s.call_id
UNION ALL -- a leg that came from another call was tried, and answered, there
SELECT s.call_id, l.leg_no, s.started_at, s.tenant, l.direction, l.trunk_id, s.payer, s.reached, COALESCE(l.codec_rx, ''),
    CASE WHEN l.q850 IS NULL AND l.sip_code IS NULL THEN s.cause ELSE COALESCE(l.q850, 0) || '/' || COALESCE(l.sip_code, 0) END,
    COALESCE(m.sell_currency, ''), COALESCE(m.buy_currency, ''),
    (NOT l.carried)::int, (NOT l.carried AND l.answered_at IS NOT NULL)::int,
    (NOT l.carried AND patchbay.is_effective(l.answered_at IS NOT NULL, CASE l.role WHEN 'caller' THEN s.progress_at ELSE l.progress_at END IS NOT NULL,
        COALESCE(l.sip_code, CASE WHEN l.q850 IS NULL THEN s.sip_code END, 0), COALESCE(l.q850, s.q850, 0)))::int,
    CASE WHEN l.answered_at IS NULL THEN 0 WHEN l.talk_ms IS NOT NULL THEN l.talk_ms WHEN l.role = 'caller' OR l.leg_no = l.sale THEN s.bill_ms
        ELSE GREATEST(0, floor(extract(epoch FROM l.ended_at - l.answered_at) * 1000))::bigint END,
    CASE WHEN l.carried THEN COALESCE(l.talk_ms, 0) WHEN l.role = 'caller' OR l.leg_no = l.sale THEN s.duration_ms ELSE 0 END, CASE WHEN NOT l.carried THEN l.pdd_ms END,
    COALESCE(m.sell, 0), COALESCE(m.sell_house, 0), COALESCE(m.buy, 0), COALESCE(m.buy_house, 0), COALESCE(m.unpriced, 0),
    CASE WHEN l.leg_no = s.main THEN s.loses ELSE 0 END, l.mos, COALESCE(l.one_way, false)::int, CASE WHEN l.leg_no = l.answerer THEN COALESCE(s.fas_suspect, false)::int ELSE 0 END,
    COALESCE(l.pkts, 0)::bigint, COALESCE(l.lost, 0)::bigint, round(l.jitter, 3), COALESCE(m.house, '')
FROM sums s JOIN legs l ON l.call_id = s.call_id
LEFT JOIN money m ON m.call_id = l.call_id AND m.leg = l.leg_no AND NOT m.whole
WHERE l.trunk_id IS NOT NULL
$$;
-- +goose StatementEnd

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
INSERT INTO patchbay.rollup_pdd AS r
SELECT x.cube, g.grain, g.slot, x.key, c.tenant, c.direction, patchbay.pdd_class(c.pdd_ms), sign * count(*)
FROM unnest(list) AS c
CROSS JOIN LATERAL (VALUES ('trunk', c.trunk, c.leg_no > 0), ('account', c.account, c.leg_no = 0), ('destination', c.destination, c.leg_no = 0), ('codec', c.codec, c.leg_no = 0),
    ('cause', c.cause, c.leg_no = 0)) AS x (cube, key, counts)
CROSS JOIN LATERAL (VALUES ('q', patchbay.quarter(c.started_at)), ('d', patchbay.utc_day(c.started_at))) AS g (grain, slot)
WHERE x.counts AND c.pdd_ms IS NOT NULL
GROUP BY 1, 2, 3, 4, 5, 6, 7
ORDER BY 1, 2, 3, 4, 5, 6, 7
ON CONFLICT (cube, grain, slot, key, tenant, direction, pdd_ms) DO UPDATE SET n = r.n + excluded.n;
$$;
-- +goose StatementEnd

DROP FUNCTION patchbay.both_currencies(text, text), patchbay.both_amounts(text, numeric, text, numeric);
