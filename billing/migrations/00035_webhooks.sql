-- +goose Up
-- What is to be told to somebody else, in the transaction that holds what it tells: a row per target and event, which goes when it is
-- delivered. hook is the id of a webhook, or file: and the name of the node whose file of finished calls it is.
CREATE TABLE patchbay.webhook_delivery (
    delivery_id bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    hook        text        NOT NULL,
    call_id     uuid        NOT NULL,
    seq         bigint      NOT NULL,
    kind        text        NOT NULL,
    body        text        NOT NULL, -- JSON, byte by byte what is sent and signed
    state       text        NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'dead')),
    since       timestamptz NOT NULL DEFAULT now(), -- it waits, or was asked for again
    due_at      timestamptz NOT NULL DEFAULT now(),
    attempts    integer     NOT NULL DEFAULT 0,
    status      integer, -- HTTP status of the last attempt; null: none came
    error       text,    -- of the last attempt
    UNIQUE (hook, call_id, seq)
);

CREATE INDEX webhook_delivery_due ON patchbay.webhook_delivery (hook, due_at) WHERE state = 'pending';
CREATE INDEX webhook_delivery_dead ON patchbay.webhook_delivery (since) WHERE state = 'dead';

-- +goose Down
DROP TABLE patchbay.webhook_delivery;
