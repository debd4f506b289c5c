-- +goose Up
-- What a stream's timestamps say of its sender, and, xr_*, what a party said itself of what it was sent (RFC 3611, of stream out).
-- NULL: nobody could know, or it wasn't said.
ALTER TABLE patchbay.leg_quality
    ADD COLUMN skew_ppm         real,   -- by which the party's clock runs faster than ours, of the stream since it began
    ADD COLUMN silence_ms       bigint, -- that the party left out (discontinuous transmission); what is silent in packets a relay doesn't know
    ADD COLUMN xr_loss          real,   -- percent, as are the next three: never came
    ADD COLUMN xr_discard       real,   -- came, and not in time for the party's jitter buffer
    ADD COLUMN xr_burst_density real,
    ADD COLUMN xr_gap_density   real,
    ADD COLUMN xr_burst_ms      real,
    ADD COLUMN xr_gap_ms        real,
    ADD COLUMN xr_rtt_ms        real,
    ADD COLUMN xr_delay_ms      real,   -- the party's own
    ADD COLUMN xr_signal_dbm    real,
    ADD COLUMN xr_noise_dbm     real,
    ADD COLUMN xr_echo_loss_db  real,
    ADD COLUMN xr_r             real,
    ADD COLUMN xr_external_r    real,
    ADD COLUMN xr_mos_lq        numeric(3, 2),
    ADD COLUMN xr_mos_cq        numeric(3, 2),
    ADD COLUMN xr_buffer_ms     real,
    ADD COLUMN xr_buffer_max_ms real,
    ADD COLUMN xr_lost          bigint,
    ADD COLUMN xr_dup           bigint,
    ADD COLUMN xr_concealment   text;

-- +goose Down
ALTER TABLE patchbay.leg_quality
    DROP COLUMN skew_ppm, DROP COLUMN silence_ms, DROP COLUMN xr_loss, DROP COLUMN xr_discard, DROP COLUMN xr_burst_density,
    DROP COLUMN xr_gap_density, DROP COLUMN xr_burst_ms, DROP COLUMN xr_gap_ms, DROP COLUMN xr_rtt_ms, DROP COLUMN xr_delay_ms,
    DROP COLUMN xr_signal_dbm, DROP COLUMN xr_noise_dbm, DROP COLUMN xr_echo_loss_db, DROP COLUMN xr_r, DROP COLUMN xr_external_r,
    DROP COLUMN xr_mos_lq, DROP COLUMN xr_mos_cq, DROP COLUMN xr_buffer_ms, DROP COLUMN xr_buffer_max_ms, DROP COLUMN xr_lost,
    DROP COLUMN xr_dup, DROP COLUMN xr_concealment;
