-- +goose Up
-- Records of calls. call and leg are projections of call_event; a row is only ever replaced by one of a higher version.
-- All three are partitioned by month on started_at, which is the time inside the UUIDv7 call_id: the key of a call's rows
-- follows from its id alone. There is no default partition: a row without one is an error, not a row in hiding.
-- Columns that nothing fills yet belong to quality, rating, recording and caller verification.

CREATE TABLE patchbay.call (
    call_id         uuid        NOT NULL,
    started_at      timestamptz NOT NULL,
    version         bigint      NOT NULL, -- number of the last event in it
    state           text        NOT NULL CHECK (state IN ('open', 'partial', 'closed', 'recovered')),
    tenant          text        NOT NULL,
    account         text,
    linked_id       uuid        NOT NULL, -- first call of the family
    node_id         text        NOT NULL,
    epoch           bigint      NOT NULL,
    origin          text        NOT NULL,
    session_id      text,
    pipeline_id     text,
    app_ref         text,
    direction       text        NOT NULL CHECK (direction IN ('in', 'out', 'internal', '')),
    kind            text        NOT NULL DEFAULT 'bridge' CHECK (kind IN ('bridge', 'ivr', 'conference', 'record', 'callback')),
    user_id         text,
    trunk_id        text,
    route_id        text,
    a_raw           text        NOT NULL,
    b_raw           text        NOT NULL,
    a_e164          text,
    b_e164          text,
    b_country       char(2),
    b_type          smallint,
    diversion       text[],
    icid            text,
    icid_gen_at     text,
    orig_ioi        text,
    term_ioi        text,
    setup_at        timestamptz NOT NULL,
    progress_at     timestamptz,
    early_media_at  timestamptz,
    answered_at     timestamptz,
    ended_at        timestamptz,
    pdd_ms          bigint CHECK (pdd_ms >= 0),
    ring_ms         bigint CHECK (ring_ms >= 0),
    duration_ms     bigint      NOT NULL CHECK (duration_ms >= 0), -- monotonic, like bill_ms
    bill_ms         bigint      NOT NULL CHECK (bill_ms >= 0),
    end_party       text CHECK (end_party IN ('caller', 'callee', 'system', 'admin', 'credit', 'node_lost')),
    sip_code        smallint,
    q850            smallint,
    reason_text     text,
    reason_raw      text, -- the Reason header as it came
    closing_cause   smallint,
    partial_no      integer,
    incomplete      boolean     NOT NULL,
    attempts        smallint    NOT NULL,
    transcoded      boolean     NOT NULL,
    mos_min         numeric(3, 2),
    mos_avg         numeric(3, 2),
    one_way         boolean,
    fas_suspect     boolean,
    rec_uri         text,
    rec_sha256      bytea,
    stir_attest     char(1),
    stir_verstat    text,
    user_data       jsonb,
    PRIMARY KEY (call_id, started_at)
) PARTITION BY RANGE (started_at);

CREATE INDEX call_started ON patchbay.call USING brin (started_at);
CREATE INDEX call_user ON patchbay.call (user_id, started_at);
CREATE INDEX call_trunk ON patchbay.call (trunk_id, started_at);
CREATE INDEX call_open ON patchbay.call (node_id, epoch) WHERE state IN ('open', 'partial');

CREATE TABLE patchbay.leg (
    call_id          uuid        NOT NULL,
    leg_no           integer     NOT NULL,
    started_at       timestamptz NOT NULL,
    version          bigint      NOT NULL,
    attempt          smallint    NOT NULL,
    role             text        NOT NULL CHECK (role IN ('caller', 'callee')),
    kind             text        NOT NULL CHECK (kind IN ('sip', 'webrtc', 'rtp', 'player', 'recorder')),
    direction        text        NOT NULL CHECK (direction IN ('in', 'out', 'internal', '')),
    user_id          text,
    trunk_id         text,
    transport        text,
    sip_call_id      text,
    local_tag        text,
    remote_tag       text,
    from_uri         text,
    to_uri           text,
    ruri             text,
    contact          text,
    pai              text,
    ppi              text,
    rpid             text,
    privacy          text,
    diversion        text,
    history_info     text,
    charging_vector  text,
    access_network_info text,
    user_agent       text,
    identity         jsonb,
    remote_sig       inet,
    remote_sig_port  integer,
    local_sig        inet,
    local_sig_port   integer,
    local_media      inet,
    local_media_port integer,
    remote_media     inet,
    remote_media_port integer,
    ice_pair         text,
    srtp             text,
    codec_rx         text,
    codec_tx         text,
    ptime_ms         smallint,
    dtmf_mode        text,
    media_direction  text,
    transcoded       boolean     NOT NULL,
    early_media      boolean     NOT NULL,
    invite_at        timestamptz NOT NULL,
    trying_at        timestamptz,
    progress_at      timestamptz,
    answered_at      timestamptz,
    ended_at         timestamptz,
    pdd_ms           bigint CHECK (pdd_ms >= 0),
    sip_code         smallint,
    q850             smallint,
    reason           text,
    reason_raw       text,
    hung_up          boolean     NOT NULL,
    failed_over_from integer,
    quality          jsonb, -- what its RTP endpoint counted last
    PRIMARY KEY (call_id, leg_no, started_at)
) PARTITION BY RANGE (started_at);

CREATE INDEX leg_sip_call_id ON patchbay.leg (sip_call_id);

CREATE TABLE patchbay.call_event (
    call_id    uuid        NOT NULL,
    seq        bigint      NOT NULL,
    started_at timestamptz NOT NULL,
    at         timestamptz NOT NULL,
    mono_ns    bigint      NOT NULL,
    leg_no     integer     NOT NULL, -- 0 = the call itself
    kind       text        NOT NULL,
    data       jsonb       NOT NULL,
    PRIMARY KEY (call_id, seq, started_at)
) PARTITION BY RANGE (started_at);

-- How far each node's journal is projected, in the transaction that projects.
CREATE TABLE patchbay.ingest (
    node_id  text        NOT NULL,
    journal  uuid        NOT NULL,
    epoch    bigint      NOT NULL,
    last_lsn bigint      NOT NULL,
    at       timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (node_id, journal)
);

-- What could not be projected. A row here is an alarm; the raw bytes are what the journal held.
CREATE TABLE patchbay.dead_letter (
    node_id text        NOT NULL,
    journal uuid        NOT NULL,
    lsn     bigint      NOT NULL,
    part    text        NOT NULL, -- event, call, leg N, journal
    call_id uuid,
    seq     bigint,
    raw     bytea,
    error   text        NOT NULL,
    at      timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (node_id, journal, lsn, part)
);

-- +goose Down
DROP TABLE patchbay.dead_letter, patchbay.ingest, patchbay.call_event, patchbay.leg, patchbay.call;
