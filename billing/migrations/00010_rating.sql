-- +goose Up
-- Prices and what calls cost. A version of a deck never changes once it is imported, a rating never at all: another price
-- is another version, another rating of a call another revision.

CREATE TABLE patchbay.deck (
    deck_id        bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name           text        NOT NULL,
    version        integer     NOT NULL,
    currency       char(3)     NOT NULL,
    file           text        NOT NULL,
    sha256         bytea       NOT NULL,
    rates          integer     NOT NULL,
    imported_at    timestamptz NOT NULL DEFAULT now(),
    effective_from timestamptz, -- until the next version's; null: staged
    activated_at   timestamptz,
    UNIQUE (name, version),
    UNIQUE (name, effective_from)
);

CREATE TABLE patchbay.rate (
    deck_id      bigint         NOT NULL REFERENCES patchbay.deck,
    prefix       text           NOT NULL,
    time_window  text           NOT NULL, -- '' = all the time that no other row is for
    from_sec     integer        NOT NULL,
    destination  text           NOT NULL,
    price        numeric(18, 9) NOT NULL, -- of a minute
    inc_first    integer        NOT NULL,
    inc_next     integer        NOT NULL,
    min_sec      integer        NOT NULL,
    free_sec     integer        NOT NULL,
    connect_fee  numeric(18, 9) NOT NULL,
    min_charge   numeric(18, 9) NOT NULL,
    max_cost     numeric(18, 9) NOT NULL, -- 0 = the tariff's
    blocked      boolean        NOT NULL,
    PRIMARY KEY (deck_id, prefix, time_window, from_sec)
);

-- Of the ratings of one (call_id, side, run) the one of the highest revision holds.
CREATE TABLE patchbay.rating (
    call_id        uuid           NOT NULL,
    started_at     timestamptz    NOT NULL, -- the time inside the call_id
    side           text           NOT NULL CHECK (side IN ('sell', 'buy', 'custom')),
    run            text           NOT NULL, -- name of a custom run; else ''
    revision       integer        NOT NULL,
    supersedes     integer, -- revision that this one takes the place of
    account        text           NOT NULL, -- user:ID, tenant:ID or trunk:ID
    tariff         text           NOT NULL,
    currency       char(3)        NOT NULL,
    deck           text           NOT NULL,
    deck_version   integer        NOT NULL,
    number         text           NOT NULL,
    prefix         text           NOT NULL,
    destination    text           NOT NULL,
    rate           numeric(18, 9) NOT NULL,
    inc_first      integer        NOT NULL,
    inc_next       integer        NOT NULL,
    bill_ms        bigint         NOT NULL,
    rated_sec      integer        NOT NULL,
    connect_fee    numeric(18, 9) NOT NULL,
    amount         numeric(20, 9) NOT NULL,
    amount_rounded numeric(20, 6) NOT NULL,
    fx             numeric(18, 9), -- units of the house's currency for one of this; null: not known
    problem        text, -- why the call has no price; null: it has
    calc           jsonb          NOT NULL,
    rated_at       timestamptz    NOT NULL DEFAULT now(),
    CHECK (revision = 0 AND supersedes IS NULL OR revision > 0 AND supersedes = revision - 1),
    PRIMARY KEY (call_id, started_at, side, run, revision)
) PARTITION BY RANGE (started_at);

CREATE INDEX rating_account ON patchbay.rating (account, started_at);

CREATE VIEW patchbay.rating_current AS
SELECT r.* FROM patchbay.rating r WHERE NOT EXISTS (SELECT FROM patchbay.rating s WHERE s.call_id = r.call_id AND s.started_at = r.started_at
    AND s.side = r.side AND s.run = r.run AND s.revision = r.revision + 1);

-- +goose StatementBegin
CREATE FUNCTION patchbay.never_edited() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'rows of patchbay.% are never edited', TG_TABLE_NAME USING ERRCODE = 'raise_exception';
END $$;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE FUNCTION patchbay.activated_once() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.effective_from IS NOT NULL OR (NEW.name, NEW.version, NEW.currency, NEW.sha256, NEW.rates) IS DISTINCT FROM (OLD.name, OLD.version, OLD.currency, OLD.sha256, OLD.rates) THEN
        RAISE EXCEPTION 'version % of deck % never changes', OLD.version, OLD.name USING ERRCODE = 'raise_exception';
    END IF;
    RETURN NEW;
END $$;
-- +goose StatementEnd

CREATE TRIGGER rate_fixed BEFORE UPDATE OR DELETE ON patchbay.rate FOR EACH ROW EXECUTE FUNCTION patchbay.never_edited();
CREATE TRIGGER rating_fixed BEFORE UPDATE OR DELETE ON patchbay.rating FOR EACH ROW EXECUTE FUNCTION patchbay.never_edited();
CREATE TRIGGER deck_fixed BEFORE UPDATE ON patchbay.deck FOR EACH ROW EXECUTE FUNCTION patchbay.activated_once();
CREATE TRIGGER deck_kept BEFORE DELETE ON patchbay.deck FOR EACH ROW EXECUTE FUNCTION patchbay.never_edited();
