package telephony

import "github.com/patchbay/patchbay/rpc"

// State of an endpoint's call.
type State string

const (
	Idle       State = "IDLE"        // no call yet
	Offered    State = "OFFERED"     // a call waits to be accepted
	Dialing    State = "DIALING"     // the call is on its way
	Ringing    State = "RINGING"     // it rings
	EarlyMedia State = "EARLY_MEDIA" // media flows before the answer
	Answered   State = "ANSWERED"
	Ended      State = "ENDED"
)

// SIPTrunk is the register SipTrunk.
type SIPTrunk struct {
	ID      string `rpc:"id"`
	State   string `rpc:"state"` // registered, registering, failing, unregistered, static
	Up      bool   `rpc:"up"`
	Calls   int    `rpc:"calls"`
	Error   string `rpc:"error,optional"`
	Expires int64  `rpc:"expires,optional"` // ms since 1970, 0 = never
}

// SIPRegistration is the register SipRegistration.
type SIPRegistration struct {
	User   string `rpc:"user"`
	Online bool   `rpc:"online"`
}

// SIPHeader is the register SipHeader: a header field.
type SIPHeader struct {
	Name  string `rpc:"name"`
	Value string `rpc:"value"`
}

// LiveCall is the register LiveCall: a call that runs.
type LiveCall struct {
	CallID string `rpc:"callId"`
	Source string `rpc:"source"` // user:ID, trunk:ID or app:ID
	To     string `rpc:"to"`
	App    string `rpc:"app,optional"`
	Since  int64  `rpc:"since"` // ms since 1970
}

// Events of a SipEndpoint.
type (
	// RingingEvent is Ringing.
	RingingEvent struct {
		Status int    `rpc:"sipStatus"`
		Phrase string `rpc:"phrase"`
	}
	// EarlyMediaEvent is EarlyMedia.
	EarlyMediaEvent struct {
		Status int    `rpc:"sipStatus"`
		Phrase string `rpc:"phrase"`
	}
	// AnsweredEvent is Answered.
	AnsweredEvent struct {
		CallID string `rpc:"callId"`
	}
	// DTMFReceived is DtmfReceived.
	DTMFReceived struct {
		Digit    string `rpc:"digit"`
		Duration int    `rpc:"duration"` // ms
	}
	// HeldEvent is Held.
	HeldEvent struct{}
	// ResumedEvent is Resumed.
	ResumedEvent struct{}
	// TransferredEvent is Transferred.
	TransferredEvent struct {
		Success bool   `rpc:"success"`
		Status  int    `rpc:"sipStatus"`
		Phrase  string `rpc:"phrase"`
	}
	// MediaLostEvent is MediaLost.
	MediaLostEvent struct{}
	// EndedEvent is Ended.
	EndedEvent struct {
		RecordID string `rpc:"recordId"`
		Cause    int    `rpc:"cause"`     // Q.850
		Status   int    `rpc:"sipStatus"` // final; 200 of an answered call
		Text     string `rpc:"text"`
		By       string `rpc:"endedBy"` // caller, callee, system, admin
	}
)

// Events of the manager and of listeners.
type (
	// IncomingCall is a call that waits for an application.
	IncomingCall struct {
		CallID   string      `rpc:"callId"`
		App      string      `rpc:"app"`
		From     string      `rpc:"from"`
		FromName string      `rpc:"fromName"`
		To       string      `rpc:"to"`
		User     string      `rpc:"user"`  // id of the user who calls, ""
		Trunk    string      `rpc:"trunk"` // or of the trunk
		Headers  []SIPHeader `rpc:"headers"`
		Limit    int         `rpc:"timeLimit"` // ms
	}
	// TrunkStateChanged tells of a trunk.
	TrunkStateChanged struct {
		Trunk string `rpc:"trunk"`
		State string `rpc:"state"`
		Up    bool   `rpc:"up"`
		Error string `rpc:"error"`
	}
	// RegistrationStateChanged tells of a user.
	RegistrationStateChanged struct {
		User   string `rpc:"user"`
		Online bool   `rpc:"online"`
	}
)

func types() []rpc.Type {
	return []rpc.Type{
		rpc.EnumType(Name, "SipCallState", Idle, Offered, Dialing, Ringing, EarlyMedia, Answered, Ended).
			About("Where the call of a SipEndpoint stands: IDLE, there is none yet; OFFERED, it waits to be accepted; DIALING and RINGING, it isn't answered; EARLY_MEDIA, media flows before the answer; ANSWERED; ENDED."),
		rpc.RegisterType[SIPTrunk](Name, "SipTrunk").About("A trunk, and whether calls can go out through it."),
		rpc.RegisterType[SIPRegistration](Name, "SipRegistration").About("A user, and whether a phone or browser of it is registered."),
		rpc.RegisterType[SIPHeader](Name, "SipHeader").About("A SIP header field; its name begins with X-."),
		rpc.RegisterType[LiveCall](Name, "LiveCall").About("A call that runs."),
		rpc.RegisterType[CDRFilter](Name, "CdrFilter").About("Which records are asked for; what is left out excludes none."),
		rpc.RegisterType[CallLeg](Name, "CallLeg").About("One party's side of a call, or one failed attempt to reach a party."),
		rpc.RegisterType[CallRecord](Name, "CallRecord").About("The record of a call. Times are milliseconds since 1970, 0 = it never came to that."),
		rpc.RegisterType[ReportQuery](Name, "ReportQuery").About("Which calls a report is of, and how it tells them apart: the parameters that REST has. What is left out is the report's own."),
		rpc.RegisterType[ReportColumn](Name, "ReportColumn").About("A column of a report."),
		rpc.RegisterType[ReportRow](Name, "ReportRow").About("A row of a report: values in the order of the columns, an empty one where there is nothing to tell."),
		rpc.RegisterType[ReportAnswer](Name, "Report").About("What calls came to. Money is decimal, in the house's currency; times are RFC 3339."),
		rpc.EventType[RingingEvent](Name, "Ringing", rpc.Media).About("The callee's phone rings."),
		rpc.EventType[EarlyMediaEvent](Name, "EarlyMedia", rpc.Media).About("Media flows before the answer: announcements, a ring tone."),
		rpc.EventType[AnsweredEvent](Name, "Answered", rpc.Media).About("The call is answered, and its record says so."),
		rpc.EventType[DTMFReceived](Name, "DtmfReceived", rpc.Media).About("The peer sent a DTMF digit, in media or in signalling."),
		rpc.EventType[HeldEvent](Name, "Held", rpc.Media).About("The peer holds the call."),
		rpc.EventType[ResumedEvent](Name, "Resumed", rpc.Media).About("The peer takes the call up again."),
		rpc.EventType[TransferredEvent](Name, "Transferred", rpc.Media).About("How a transfer went. When it worked the call ends, otherwise it goes on."),
		rpc.EventType[MediaLostEvent](Name, "MediaLost", rpc.Media).About("The peer's media stopped. If it isn't on hold the call ends."),
		rpc.EventType[EndedEvent](Name, "Ended", rpc.Media).About("The call is over, with the SIP status and the Q.850 cause; its record is kept under recordId."),
		rpc.EventType[IncomingCall](Name, "IncomingCall", rpc.Media).About("A call waits for an application: create a SipEndpoint with its callId, within timeLimit ms, and accept or reject it."),
		rpc.EventType[TrunkStateChanged](Name, "TrunkStateChanged", rpc.Media).About("A trunk's registration came, went or failed."),
		rpc.EventType[RegistrationStateChanged](Name, "RegistrationStateChanged", rpc.Media).About("A user's first phone or browser has registered, or the last is gone."),
	}
}
