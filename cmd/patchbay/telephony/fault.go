package telephony

import (
	"context"
	"errors"

	"github.com/patchbay/patchbay/gateway"
	"github.com/patchbay/patchbay/rpc"
	"github.com/patchbay/patchbay/sip"
)

// fault gives an error of the gateway the code and the words that a client sees.
func fault(err error) error {
	var field *gateway.FieldError
	var refused *gateway.Refusal
	var status *sip.StatusError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &field):
		return rpc.Errorf(rpc.IllegalParam, "'%s' %s", field.Field, field.Problem)
	case errors.As(err, &refused):
		return rpc.Errorf(refusalCode(refused), "Refused: %s", refused.Cause)
	case errors.As(err, &status):
		return rpc.Errorf(rpc.NotSupported, "The peer refused: %d %s", status.Status, status.Phrase)
	case errors.Is(err, gateway.ErrNoCall):
		return rpc.Errorf(rpc.NotSupported, "The call has ended")
	case errors.Is(err, gateway.ErrNotAnswered), errors.Is(err, gateway.ErrAnswered), errors.Is(err, gateway.ErrBusy):
		return rpc.Errorf(rpc.NotSupported, "Not now: %s", err)
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return rpc.Errorf(rpc.Unexpected, "The peer doesn't answer in time")
	case errors.Is(err, sip.ErrEnded), errors.Is(err, sip.ErrTimeout), errors.Is(err, sip.ErrTransport):
		return rpc.Errorf(rpc.Unexpected, "The peer can't be reached")
	}
	return err
}

// refusalCode tells what is full or missing here from what others don't want.
func refusalCode(r *gateway.Refusal) rpc.Code {
	if r.Cause.SIP == 503 {
		return rpc.NotEnoughResources
	}
	return rpc.NotSupported
}
