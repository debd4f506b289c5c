-- +goose Up
-- A call counts for who pays for it: the account of what it was sold by, be it a user, a tenant or a trunk that brought it. And all of its
-- ratings count, also those of the way in and of calls within the house.
DROP FUNCTION patchbay.count_calls(uuid[], timestamptz[], text[]), patchbay.counts(uuid[], timestamptz[], text[]);

-- The currency of two parts of a call's money, and their sum in it; NULL = there is no such part.
CREATE FUNCTION patchbay.both_currencies(a text, b text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
SELECT CASE WHEN a <> b THEN LEAST(a, b) || '+' || GREATEST(a, b) ELSE COALESCE(a, b, '') END $$;

CREATE FUNCTION patchbay.both_amounts(a text, m numeric, b text, n numeric) RETURNS numeric LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
SELECT CASE WHEN a <> b THEN 0 ELSE COALESCE(m, 0) + COALESCE(n, 0) END $$;

-- What calls count for, as their rows are now. Destinations are those of calls that weren't sold or bought; payers who would have paid for
-- calls that weren't sold, '' = not known. A call that came in and was forwarded out has a rating of each part (run 'in' is the first): both count, the
-- one for the way in at the trunk that it came from. What is sold, or bought, in two currencies is never added up: the
-- currency is then that of both, as EUR+USD, the amount 0; in the currency of the house it counts as always.
-- +goose StatementBegin
CREATE FUNCTION patchbay.counts(ids uuid[], times timestamptz[], destinations text[], payers text[]) RETURNS SETOF patchbay.counted LANGUAGE sql STABLE AS $$
WITH priced AS (
    SELECT c.*, a.destination AS guess, COALESCE(c.q850, 0) || '/' || COALESCE(c.sip_code, 0) AS cause,
        COALESCE(r.s_account, r.si_account, NULLIF(a.payer, ''), 'user:' || c.account, 'tenant:' || c.tenant) AS payer, r.*
    FROM unnest(ids, times, destinations, payers) AS a (call_id, started_at, destination, payer)
    JOIN patchbay.call c ON c.call_id = a.call_id AND c.started_at = a.started_at AND c.ended_at IS NOT NULL
    CROSS JOIN LATERAL (
        SELECT max(x.account) FILTER (WHERE s) AS s_account, max(x.currency) FILTER (WHERE s) AS s_currency, max(x.amount) FILTER (WHERE s) AS s_amount, max(x.house) FILTER (WHERE s) AS s_house,
            max(x.account) FILTER (WHERE si) AS si_account, max(x.currency) FILTER (WHERE si) AS si_currency, max(x.amount) FILTER (WHERE si) AS si_amount, max(x.house) FILTER (WHERE si) AS si_house,
            max(x.account) FILTER (WHERE b) AS b_account, max(x.currency) FILTER (WHERE b) AS b_currency, max(x.amount) FILTER (WHERE b) AS b_amount, max(x.house) FILTER (WHERE b) AS b_house,
            max(x.currency) FILTER (WHERE bi) AS bi_currency, max(x.amount) FILTER (WHERE bi) AS bi_amount, max(x.house) FILTER (WHERE bi) AS bi_house,
            max(x.destination) FILTER (WHERE s AND x.run = '') AS s_destination, max(x.destination) FILTER (WHERE b) AS b_destination,
            count(*) FILTER (WHERE s OR si) AS sold, count(*) FILTER (WHERE b OR bi) AS bought,
            count(*) FILTER (WHERE s AND x.house IS NULL) AS s_unpriced, count(*) FILTER (WHERE si AND x.house IS NULL) AS si_unpriced,
            count(*) FILTER (WHERE b AND x.house IS NULL) AS b_unpriced, count(*) FILTER (WHERE bi AND x.house IS NULL) AS bi_unpriced
        FROM (SELECT DISTINCT ON (r.side, r.run) r.run, r.account, r.currency::text AS currency, r.destination, CASE WHEN r.problem IS NULL THEN r.amount_rounded END AS amount,
                CASE WHEN r.problem IS NULL THEN r.amount_rounded * r.fx END AS house,
                r.side = 'sell' AND r.run <> 'in' AS s, r.side = 'sell' AND r.run = 'in' AS si, r.side = 'buy' AND r.run <> 'in' AS b, r.side = 'buy' AND r.run = 'in' AS bi
            FROM patchbay.rating r WHERE r.call_id = c.call_id AND r.started_at = c.started_at AND r.side <> 'custom' ORDER BY r.side, r.run, r.revision DESC) x
    ) r
), sums AS (
    SELECT p.*, patchbay.both_currencies(s_currency, si_currency) AS sell_currency, patchbay.both_currencies(b_currency, bi_currency) AS buy_currency,
        patchbay.both_amounts(s_currency, s_amount, si_currency, si_amount) AS sell, COALESCE(s_house, 0) + COALESCE(si_house, 0) AS sell_house,
        patchbay.both_amounts(b_currency, b_amount, bi_currency, bi_amount) AS buy, COALESCE(b_house, 0) + COALESCE(bi_house, 0) AS buy_house,
        (sold > 0 AND bought > 0 AND s_unpriced + si_unpriced + b_unpriced + bi_unpriced = 0 AND COALESCE(b_house, 0) + COALESCE(bi_house, 0) > COALESCE(s_house, 0) + COALESCE(si_house, 0))::int AS loses,
        COALESCE(NULLIF(s_destination, ''), NULLIF(b_destination, ''), NULLIF(guess, ''), patchbay.country(COALESCE(b_e164, b_raw))) AS reached
    FROM priced p
), legs AS ( -- with what was heard of each, and which of a call's has what is sold and bought: the callee's that answered last, else the caller's; and by which it came in
    SELECT l.call_id, l.started_at, l.leg_no, l.role, l.direction, l.trunk_id, l.codec_rx, l.q850, l.sip_code, l.progress_at, l.answered_at, l.ended_at, l.pdd_ms,
        q.pkts, q.lost, q.jitter, q.mos, q.one_way,
        last_value(l.leg_no) OVER by_sale AS sale,
        max(l.leg_no) FILTER (WHERE l.answered_at IS NOT NULL AND 'trunk:' || l.trunk_id = s.b_account) OVER (PARTITION BY l.call_id) AS bought_leg,
        max(l.leg_no) FILTER (WHERE l.answered_at IS NOT NULL AND l.role = 'callee') OVER (PARTITION BY l.call_id) AS answerer,
        max(l.leg_no) FILTER (WHERE l.role = 'caller' AND l.trunk_id IS NOT NULL) OVER (PARTITION BY l.call_id) AS entry
    FROM sums s
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
    s.bill_ms, s.duration_ms, s.pdd_ms, s.sell, s.sell_house, s.buy, s.buy_house, s.s_unpriced + s.si_unpriced + s.b_unpriced + s.bi_unpriced, s.loses, s.mos_avg,
    COALESCE(s.one_way, false)::int, COALESCE(s.fas_suspect, false)::int, COALESCE(h.pkts, 0), COALESCE(h.lost, 0), h.jitter
FROM sums s LEFT JOIN heard h ON h.call_id = s.call_id
UNION ALL
SELECT s.call_id, l.leg_no, s.started_at, s.tenant, l.direction, l.trunk_id, s.payer, s.reached, COALESCE(l.codec_rx, ''),
    CASE WHEN l.q850 IS NULL AND l.sip_code IS NULL THEN s.cause ELSE COALESCE(l.q850, 0) || '/' || COALESCE(l.sip_code, 0) END,
    patchbay.both_currencies(CASE WHEN m.sold THEN s.s_currency END, CASE WHEN m.came THEN s.si_currency END),
    patchbay.both_currencies(CASE WHEN m.bought THEN s.b_currency END, CASE WHEN m.came THEN s.bi_currency END),
    1, (l.answered_at IS NOT NULL)::int,
    patchbay.is_effective(l.answered_at IS NOT NULL, CASE l.role WHEN 'caller' THEN s.progress_at ELSE l.progress_at END IS NOT NULL,
        COALESCE(l.sip_code, CASE WHEN l.q850 IS NULL THEN s.sip_code END, 0), COALESCE(l.q850, s.q850, 0))::int,
    CASE WHEN l.answered_at IS NULL THEN 0 WHEN l.role = 'caller' OR l.leg_no = l.sale THEN s.bill_ms
        ELSE GREATEST(0, floor(extract(epoch FROM l.ended_at - l.answered_at) * 1000))::bigint END,
    CASE WHEN l.role = 'caller' OR l.leg_no = l.sale THEN s.duration_ms ELSE 0 END, l.pdd_ms,
    patchbay.both_amounts(CASE WHEN m.sold THEN s.s_currency END, CASE WHEN m.sold THEN s.s_amount END, CASE WHEN m.came THEN s.si_currency END, CASE WHEN m.came THEN s.si_amount END),
    CASE WHEN m.sold THEN COALESCE(s.s_house, 0) ELSE 0 END + CASE WHEN m.came THEN COALESCE(s.si_house, 0) ELSE 0 END,
    patchbay.both_amounts(CASE WHEN m.bought THEN s.b_currency END, CASE WHEN m.bought THEN s.b_amount END, CASE WHEN m.came THEN s.bi_currency END, CASE WHEN m.came THEN s.bi_amount END),
    CASE WHEN m.bought THEN COALESCE(s.b_house, 0) ELSE 0 END + CASE WHEN m.came THEN COALESCE(s.bi_house, 0) ELSE 0 END,
    CASE WHEN m.sold THEN s.s_unpriced ELSE 0 END + CASE WHEN m.bought THEN s.b_unpriced ELSE 0 END + CASE WHEN m.came THEN s.si_unpriced + s.bi_unpriced ELSE 0 END,
    CASE WHEN m.sold OR m.came AND s.s_currency IS NULL THEN s.loses ELSE 0 END, l.mos, COALESCE(l.one_way, false)::int, CASE WHEN l.leg_no = l.answerer THEN COALESCE(s.fas_suspect, false)::int ELSE 0 END,
    COALESCE(l.pkts, 0)::bigint, COALESCE(l.lost, 0)::bigint, round(l.jitter, 3)
FROM sums s JOIN legs l ON l.call_id = s.call_id
CROSS JOIN LATERAL (SELECT l.leg_no = l.sale AND l.answered_at IS NOT NULL AS sold, l.leg_no = COALESCE(l.bought_leg, l.sale) AS bought, l.leg_no IS NOT DISTINCT FROM l.entry AS came) m
WHERE l.trunk_id IS NOT NULL
$$;
-- +goose StatementEnd

-- Counts calls anew. What others do with the same calls waits until this transaction ends; what isn't there, or has no end, stays as it is.
-- +goose StatementBegin
CREATE FUNCTION patchbay.count_calls(ids uuid[], times timestamptz[], destinations text[], payers text[] DEFAULT NULL) RETURNS void LANGUAGE plpgsql AS $$
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
    INSERT INTO patchbay.counted SELECT * FROM unnest(now_is);
    IF before IS NULL THEN
        PERFORM patchbay.roll(now_is, 1);
    ELSIF (SELECT array_agg(b ORDER BY b) FROM unnest(before) b) IS DISTINCT FROM (SELECT array_agg(n ORDER BY n) FROM unnest(now_is) n) THEN
        PERFORM patchbay.roll(before, -1);
        PERFORM patchbay.roll(now_is, 1);
    END IF;
END $$;
-- +goose StatementEnd

-- Calls on record whose payer is another now, or that have ratings which didn't count, some at a time. They keep their destinations.
-- +goose StatementBegin
DO $$
DECLARE
    d record;
BEGIN
    FOR d IN SELECT x.part, array_agg(x.call_id ORDER BY x.call_id) AS ids, array_agg(x.started_at ORDER BY x.call_id) AS times, array_agg(x.destination ORDER BY x.call_id) AS destinations
        FROM (SELECT n.call_id, n.started_at, n.destination, row_number() OVER (ORDER BY n.started_at, n.call_id) / 2000 AS part
            FROM patchbay.counted n WHERE n.leg_no = 0 AND EXISTS (SELECT FROM patchbay.rating r WHERE r.call_id = n.call_id AND r.started_at = n.started_at AND r.side <> 'custom'
                AND (r.run <> '' OR r.side = 'sell' AND r.account <> n.account))) x
        GROUP BY 1 ORDER BY 1 LOOP
        PERFORM patchbay.count_calls(d.ids, d.times, d.destinations);
    END LOOP;
END $$;
-- +goose StatementEnd
