-- +goose Up
-- What reports count. counted is what one call counts for: one row for the call (leg_no 0), one for each try of a trunk. rollup is
-- their sums by quarter of an hour and by UTC day, along one dimension at a time: trunk, account, destination, codec, cause. Both
-- are written by count_calls alone, in the transaction that changes a call's rows: it takes away what a call counted for before
-- and adds what it counts for now, so that a call counts once however often it is written. A call counts from its end on, at the time
-- inside its id. Quarters of an hour, since the days of every time zone in use are made of them.

CREATE TABLE patchbay.counted (
    call_id       uuid        NOT NULL,
    leg_no        integer     NOT NULL, -- 0 = the call; else the leg of a trunk
    started_at    timestamptz NOT NULL,
    tenant        text        NOT NULL,
    direction     text        NOT NULL,
    trunk         text        NOT NULL, -- '' of the call itself
    account       text        NOT NULL, -- user:ID who pays, else tenant:ID
    destination   text        NOT NULL, -- by the deck, else + and the country's code; '' = a number of ours
    codec         text        NOT NULL,
    cause         text        NOT NULL, -- Q.850/SIP
    sell_currency text        NOT NULL, -- '' = not sold
    buy_currency  text        NOT NULL,
    seizures      bigint      NOT NULL,
    answered      bigint      NOT NULL,
    effective     bigint      NOT NULL, -- NER's numerator
    bill_ms       bigint      NOT NULL,
    duration_ms   bigint      NOT NULL,
    pdd_ms        bigint,
    sell          numeric     NOT NULL, -- rounded amounts, in their currency
    sell_house    numeric     NOT NULL, -- times the rate of exchange: in the house's
    buy           numeric     NOT NULL,
    buy_house     numeric     NOT NULL,
    unpriced      bigint      NOT NULL, -- ratings without a price, or of a currency without a rate of exchange
    losses        bigint      NOT NULL,
    mos           numeric, -- of an answered call that was measured
    one_way       bigint      NOT NULL,
    fas           bigint      NOT NULL,
    pkts          bigint      NOT NULL, -- received
    lost          bigint      NOT NULL,
    jitter_ms     numeric,
    PRIMARY KEY (call_id, leg_no, started_at)
) PARTITION BY RANGE (started_at);

CREATE INDEX counted_started ON patchbay.counted (started_at);

CREATE TABLE patchbay.rollup (
    cube          text        NOT NULL, -- which dimension
    grain         char(1)     NOT NULL CHECK (grain IN ('q', 'd')), -- quarter of an hour, UTC day
    slot          timestamptz NOT NULL, -- its beginning
    key           text        NOT NULL, -- value of the dimension
    tenant        text        NOT NULL,
    direction     text        NOT NULL,
    sell_currency text        NOT NULL,
    buy_currency  text        NOT NULL,
    calls         bigint      NOT NULL,
    seizures      bigint      NOT NULL,
    answered      bigint      NOT NULL,
    effective     bigint      NOT NULL,
    bill_ms       bigint      NOT NULL,
    duration_ms   bigint      NOT NULL,
    pdd_n         bigint      NOT NULL,
    pdd_ms        bigint      NOT NULL,
    sell          numeric     NOT NULL,
    sell_house    numeric     NOT NULL,
    buy           numeric     NOT NULL,
    buy_house     numeric     NOT NULL,
    unpriced      bigint      NOT NULL,
    losses        bigint      NOT NULL,
    mos_n         bigint      NOT NULL,
    mos           numeric     NOT NULL,
    one_way       bigint      NOT NULL,
    fas           bigint      NOT NULL,
    pkts          bigint      NOT NULL,
    lost          bigint      NOT NULL,
    jitter_n      bigint      NOT NULL,
    jitter_ms     numeric     NOT NULL,
    PRIMARY KEY (cube, grain, slot, key, tenant, direction, sell_currency, buy_currency)
) WITH (fillfactor = 70);

-- Post-dial delays, likewise.
CREATE TABLE patchbay.rollup_pdd (
    cube      text        NOT NULL,
    grain     char(1)     NOT NULL CHECK (grain IN ('q', 'd')),
    slot      timestamptz NOT NULL,
    key       text        NOT NULL,
    tenant    text        NOT NULL,
    direction text        NOT NULL,
    pdd_ms    bigint      NOT NULL, -- least of its class, see pdd_class
    n         bigint      NOT NULL,
    PRIMARY KEY (cube, grain, slot, key, tenant, direction, pdd_ms)
) WITH (fillfactor = 70);

-- The least delay of the class that a delay is in: to the millisecond up to 64 ms, above that no class is wider than 1/32 of it.
CREATE FUNCTION patchbay.pdd_class(ms bigint) RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
SELECT ms - ms % CASE WHEN ms < 64 THEN 1 WHEN ms < 128 THEN 2 WHEN ms < 256 THEN 4 WHEN ms < 512 THEN 8 WHEN ms < 1024 THEN 16
    WHEN ms < 2048 THEN 32 WHEN ms < 4096 THEN 64 WHEN ms < 8192 THEN 128 WHEN ms < 16384 THEN 256 WHEN ms < 32768 THEN 512
    WHEN ms < 65536 THEN 1024 WHEN ms < 131072 THEN 2048 ELSE 4096 END $$;

CREATE FUNCTION patchbay.quarter(t timestamptz) RETURNS timestamptz LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
SELECT to_timestamp(floor(extract(epoch FROM t) / 900) * 900) $$;

CREATE FUNCTION patchbay.utc_day(t timestamptz) RETURNS timestamptz LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
SELECT to_timestamp(floor(extract(epoch FROM t) / 86400) * 86400) $$;

-- Plus and the country's code (ITU-T E.164, annex to the Operational Bulletin): of one, two or three digits. '' = no such number.
CREATE FUNCTION patchbay.country(number text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
SELECT CASE WHEN number !~ '^\+[1-9][0-9]{3}' THEN '' WHEN number ~ '^\+[17]' THEN left(number, 2)
    WHEN number ~ '^\+(2[07]|3[0123469]|4[013456789]|5[1-8]|6[0-6]|8[1246]|9[0123458])' THEN left(number, 3) ELSE left(number, 4) END $$;

-- What reached its addressee, of ITU-T E.425's network effectiveness: an answer, busy, no answer behind ringing, a refusal by the
-- called party. Where SIP had a final status, that is what tells; else the cause of Q.850.
CREATE FUNCTION patchbay.is_effective(answered boolean, rang boolean, sip integer, q850 integer) RETURNS boolean LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
SELECT answered OR CASE WHEN sip IN (486, 600, 603) THEN true WHEN sip IN (408, 480, 487) THEN rang WHEN sip > 0 THEN false
    ELSE q850 IN (17, 18, 19, 21) OR q850 = 16 AND rang END $$;

-- What calls count for, as their rows are now. Destinations are those of calls that weren't sold or bought.
-- +goose StatementBegin
CREATE FUNCTION patchbay.counts(ids uuid[], times timestamptz[], destinations text[]) RETURNS SETOF patchbay.counted LANGUAGE sql STABLE AS $$
WITH priced AS (
    SELECT c.*, a.destination AS guess, COALESCE(c.q850, 0) || '/' || COALESCE(c.sip_code, 0) AS cause,
        COALESCE('user:' || c.account, 'tenant:' || c.tenant) AS payer,
        s.currency AS s_currency, CASE WHEN s.problem IS NULL THEN s.amount_rounded END AS s_amount, s.fx AS s_fx, s.destination AS s_destination, s.call_id IS NOT NULL AS sold,
        b.currency AS b_currency, CASE WHEN b.problem IS NULL THEN b.amount_rounded END AS b_amount, b.fx AS b_fx, b.destination AS b_destination, b.call_id IS NOT NULL AS bought,
        b.account AS b_account
    FROM unnest(ids, times, destinations) AS a (call_id, started_at, destination)
    JOIN patchbay.call c ON c.call_id = a.call_id AND c.started_at = a.started_at AND c.ended_at IS NOT NULL
    LEFT JOIN LATERAL (SELECT * FROM patchbay.rating r WHERE r.call_id = a.call_id AND r.started_at = a.started_at AND r.side = 'sell' AND r.run = '' ORDER BY r.revision DESC LIMIT 1) s ON true
    LEFT JOIN LATERAL (SELECT * FROM patchbay.rating r WHERE r.call_id = a.call_id AND r.started_at = a.started_at AND r.side = 'buy' AND r.run = '' ORDER BY r.revision DESC LIMIT 1) b ON true
), sums AS (
    SELECT p.*, CASE WHEN sold THEN s_currency ELSE '' END AS sell_currency, CASE WHEN bought THEN b_currency ELSE '' END AS buy_currency,
        COALESCE(s_amount, 0) AS sell, COALESCE(s_amount * s_fx, 0) AS sell_house, COALESCE(b_amount, 0) AS buy, COALESCE(b_amount * b_fx, 0) AS buy_house,
        (sold AND s_amount * s_fx IS NULL)::int AS s_unpriced, (bought AND b_amount * b_fx IS NULL)::int AS b_unpriced,
        COALESCE(b_amount * b_fx > s_amount * s_fx, false)::int AS loses,
        COALESCE(NULLIF(s_destination, ''), NULLIF(b_destination, ''), NULLIF(guess, ''), patchbay.country(COALESCE(b_e164, b_raw))) AS reached
    FROM priced p
), legs AS ( -- with what was heard of each, and which of a call's has what is sold and bought: the callee's that answered last, else the caller's
    SELECT l.call_id, l.started_at, l.leg_no, l.role, l.direction, l.trunk_id, l.codec_rx, l.q850, l.sip_code, l.progress_at, l.answered_at, l.ended_at, l.pdd_ms,
        q.pkts, q.lost, q.jitter, q.mos, q.one_way,
        last_value(l.leg_no) OVER by_sale AS sale,
        max(l.leg_no) FILTER (WHERE l.answered_at IS NOT NULL AND 'trunk:' || l.trunk_id = s.b_account) OVER (PARTITION BY l.call_id) AS bought_leg,
        max(l.leg_no) FILTER (WHERE l.answered_at IS NOT NULL AND l.role = 'callee') OVER (PARTITION BY l.call_id) AS answerer
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
    s.bill_ms, s.duration_ms, s.pdd_ms, s.sell, s.sell_house, s.buy, s.buy_house, s.s_unpriced + s.b_unpriced, s.loses, s.mos_avg,
    COALESCE(s.one_way, false)::int, COALESCE(s.fas_suspect, false)::int, COALESCE(h.pkts, 0), COALESCE(h.lost, 0), h.jitter
FROM sums s LEFT JOIN heard h ON h.call_id = s.call_id
UNION ALL
SELECT s.call_id, l.leg_no, s.started_at, s.tenant, l.direction, l.trunk_id, s.payer, s.reached, COALESCE(l.codec_rx, ''),
    CASE WHEN l.q850 IS NULL AND l.sip_code IS NULL THEN s.cause ELSE COALESCE(l.q850, 0) || '/' || COALESCE(l.sip_code, 0) END,
    CASE WHEN l.leg_no = l.sale THEN s.sell_currency ELSE '' END, CASE WHEN l.leg_no = COALESCE(l.bought_leg, l.sale) THEN s.buy_currency ELSE '' END,
    1, (l.answered_at IS NOT NULL)::int,
    patchbay.is_effective(l.answered_at IS NOT NULL, CASE l.role WHEN 'caller' THEN s.progress_at ELSE l.progress_at END IS NOT NULL,
        COALESCE(l.sip_code, CASE WHEN l.q850 IS NULL THEN s.sip_code END, 0), COALESCE(l.q850, s.q850, 0))::int,
    CASE WHEN l.answered_at IS NULL THEN 0 WHEN l.role = 'caller' OR l.leg_no = l.sale THEN s.bill_ms
        ELSE GREATEST(0, floor(extract(epoch FROM l.ended_at - l.answered_at) * 1000))::bigint END,
    CASE WHEN l.role = 'caller' OR l.leg_no = l.sale THEN s.duration_ms ELSE 0 END, l.pdd_ms,
    CASE WHEN l.leg_no = l.sale THEN s.sell ELSE 0 END, CASE WHEN l.leg_no = l.sale THEN s.sell_house ELSE 0 END,
    CASE WHEN l.leg_no = COALESCE(l.bought_leg, l.sale) THEN s.buy ELSE 0 END, CASE WHEN l.leg_no = COALESCE(l.bought_leg, l.sale) THEN s.buy_house ELSE 0 END,
    CASE WHEN l.leg_no = l.sale THEN s.s_unpriced ELSE 0 END + CASE WHEN l.leg_no = COALESCE(l.bought_leg, l.sale) THEN s.b_unpriced ELSE 0 END,
    CASE WHEN l.leg_no = l.sale THEN s.loses ELSE 0 END, l.mos, COALESCE(l.one_way, false)::int, CASE WHEN l.leg_no = l.answerer THEN COALESCE(s.fas_suspect, false)::int ELSE 0 END,
    COALESCE(l.pkts, 0)::bigint, COALESCE(l.lost, 0)::bigint, round(l.jitter, 3)
FROM sums s JOIN legs l ON l.call_id = s.call_id
WHERE l.trunk_id IS NOT NULL
$$;
-- +goose StatementEnd

-- Adds what rows of counted count for to the rollups, or takes it away: sign is 1 or -1. Rows are met in the order of their keys, so
-- that two writers can't wait for each other.
-- +goose StatementBegin
CREATE FUNCTION patchbay.roll(list patchbay.counted[], sign integer) RETURNS void LANGUAGE sql AS $$
INSERT INTO patchbay.rollup AS r
SELECT x.cube, g.grain, g.slot, x.key, c.tenant, c.direction, c.sell_currency, c.buy_currency, sign * count(*), sign * sum(c.seizures), sign * sum(c.answered), sign * sum(c.effective),
    sign * sum(c.bill_ms), sign * sum(c.duration_ms), sign * count(c.pdd_ms), sign * COALESCE(sum(c.pdd_ms), 0), sign * sum(c.sell), sign * sum(c.sell_house), sign * sum(c.buy), sign * sum(c.buy_house),
    sign * sum(c.unpriced), sign * sum(c.losses), sign * count(c.mos), sign * COALESCE(sum(c.mos), 0), sign * sum(c.one_way), sign * sum(c.fas), sign * sum(c.pkts), sign * sum(c.lost),
    sign * count(c.jitter_ms), sign * COALESCE(sum(c.jitter_ms), 0)
FROM unnest(list) AS c
CROSS JOIN LATERAL (VALUES ('trunk', c.trunk, c.leg_no > 0), ('account', c.account, c.leg_no = 0), ('destination', c.destination, c.leg_no = 0), ('codec', c.codec, c.leg_no = 0),
    ('cause', c.cause, c.leg_no = 0)) AS x (cube, key, counts)
CROSS JOIN LATERAL (VALUES ('q', patchbay.quarter(c.started_at)), ('d', patchbay.utc_day(c.started_at))) AS g (grain, slot)
WHERE x.counts
GROUP BY 1, 2, 3, 4, 5, 6, 7, 8
ORDER BY 1, 2, 3, 4, 5, 6, 7, 8
ON CONFLICT (cube, grain, slot, key, tenant, direction, sell_currency, buy_currency) DO UPDATE SET
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

-- Counts calls anew. What others do with the same calls waits until this transaction ends; what isn't there, or has no end, stays as it is.
-- +goose StatementBegin
CREATE FUNCTION patchbay.count_calls(ids uuid[], times timestamptz[], destinations text[]) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    before patchbay.counted[];
    now_is patchbay.counted[];
BEGIN
    PERFORM FROM patchbay.call c WHERE c.call_id = ANY (ids) AND c.started_at = ANY (times) ORDER BY c.call_id FOR NO KEY UPDATE;
    SELECT array_agg(x::patchbay.counted) INTO now_is FROM patchbay.counts(ids, times, destinations) AS x;
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

-- The calls that are on record already, a day at a time.
-- +goose StatementBegin
DO $$
DECLARE
    p record;
    d record;
BEGIN
    FOR p IN SELECT c.relname, pg_get_expr(c.relpartbound, c.oid) AS bound FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
        WHERE i.inhparent = 'patchbay.call'::regclass AND NOT i.inhdetachpending ORDER BY 1 LOOP
        EXECUTE format('CREATE TABLE patchbay.%I PARTITION OF patchbay.counted %s', replace(p.relname, 'call_p', 'counted_p'), p.bound);
    END LOOP;
    FOR d IN SELECT patchbay.utc_day(started_at) AS day, array_agg(call_id ORDER BY call_id) AS ids, array_agg(started_at ORDER BY call_id) AS times
        FROM patchbay.call WHERE ended_at IS NOT NULL GROUP BY 1 ORDER BY 1 LOOP
        PERFORM patchbay.count_calls(d.ids, d.times, array_fill(''::text, ARRAY[cardinality(d.ids)]));
    END LOOP;
END $$;
-- +goose StatementEnd

-- +goose Down
DROP FUNCTION patchbay.count_calls(uuid[], timestamptz[], text[]), patchbay.roll(patchbay.counted[], integer), patchbay.counts(uuid[], timestamptz[], text[]),
    patchbay.is_effective(boolean, boolean, integer, integer), patchbay.country(text), patchbay.utc_day(timestamptz), patchbay.quarter(timestamptz), patchbay.pdd_class(bigint);
DROP TABLE patchbay.rollup_pdd, patchbay.rollup, patchbay.counted;
