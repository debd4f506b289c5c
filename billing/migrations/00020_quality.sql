-- +goose Up
-- What each stream of an answered leg was like: bucket n is the n-th ten seconds, bucket 0 the leg from its answer to its end. Rows
-- are what the events of kind quality say, and never change. NULL is what nobody could know or was told of; what was computed of
-- a model instead of counted is named in modelled.
CREATE TABLE patchbay.leg_quality (
    call_id       uuid        NOT NULL,
    leg_no        integer     NOT NULL,
    stream        text        NOT NULL CHECK (stream IN ('in', 'out')), -- in: what the party sent; out: what we sent to it
    bucket        integer     NOT NULL CHECK (bucket >= 0),
    started_at    timestamptz NOT NULL,
    span_ms       bigint      NOT NULL,
    ssrc          bigint,
    codec         text,
    pkts          bigint      NOT NULL,
    bytes         bigint      NOT NULL,
    lost          bigint,
    dup           bigint,
    reordered     bigint,
    late          bigint, -- for a jitter buffer: a gateway that relays has none
    concealed_ms  bigint, -- likewise
    src_rejected  bigint,
    bursts        bigint,
    burst_r       real,
    jitter_ms     real,
    jitter_min_ms real,
    jitter_avg_ms real,
    jitter_p95_ms real,
    jitter_max_ms real,
    rtt_ms        real,
    rtt_min_ms    real,
    rtt_max_ms    real,
    owd_ms        real,
    r             numeric(4, 1),
    mos_lq        numeric(3, 2),
    mos_cq        numeric(3, 2),
    ie            real,
    bpl           real,
    ppl           real,
    first_rtp_ms  bigint,
    no_media      boolean     NOT NULL,
    one_way       boolean     NOT NULL,
    provisional   boolean     NOT NULL, -- ie and bpl are ours: nobody has agreed on them
    modelled      text[]      NOT NULL,
    PRIMARY KEY (call_id, leg_no, stream, bucket, started_at)
) PARTITION BY RANGE (started_at);

CREATE INDEX leg_quality_worst ON patchbay.leg_quality (mos_cq, started_at) WHERE bucket = 0;

-- +goose Down
DROP TABLE patchbay.leg_quality;
