-- +goose Up
-- Applications make and take calls: their side of a call is a leg without a dialog.
ALTER TABLE patchbay.call ADD COLUMN app_id text;
ALTER TABLE patchbay.leg DROP CONSTRAINT leg_kind_check;
ALTER TABLE patchbay.leg ADD CONSTRAINT leg_kind_check CHECK (kind IN ('sip', 'webrtc', 'rtp', 'app', 'player', 'recorder'));

-- +goose Down
ALTER TABLE patchbay.leg DROP CONSTRAINT leg_kind_check;
ALTER TABLE patchbay.leg ADD CONSTRAINT leg_kind_check CHECK (kind IN ('sip', 'webrtc', 'rtp', 'player', 'recorder')) NOT VALID;
ALTER TABLE patchbay.call DROP COLUMN app_id;
