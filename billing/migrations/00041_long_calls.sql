-- +goose Up
-- The few calls that last for days: a curve of calls at a time finds those that began long before it. Those that go on are in call_open.
CREATE INDEX call_long ON patchbay.call (started_at) WHERE duration_ms >= 172800000;

-- +goose Down
DROP INDEX patchbay.call_long;
