package rpc

import (
	"errors"
	"fmt"
)

// Code is an error's number on the wire: JSON-RPC's own below zero, Kurento's from 40000.
type Code int

const (
	ParseFailed    Code = -32700
	InvalidRequest Code = -32600
	UnknownMethod  Code = -32601
	InvalidParams  Code = -32602
	Internal       Code = -32603
	BadEnvelope    Code = -32000 // a member of the request itself is missing or of the wrong kind

	BadParam             Code = 40001 // a parameter of an operation or a constructor
	Unexpected           Code = 40003
	NotConnected         Code = 40004
	UnsupportedMediaType Code = 40005
	NotImplemented       Code = 40006
	UnknownSession       Code = 40007
	UnknownOperation     Code = 40008 // Kurento gives malformed transactions the same code
	NotEnoughResources   Code = 40009
	TypeNotFound         Code = 40100
	ObjectNotFound       Code = 40101
	ConstructorNotFound  Code = 40104
	MethodNotFound       Code = 40105
	EventNotSupported    Code = 40106
	IllegalParam         Code = 40107
	TypeNotAvailable     Code = 40108 // create of an unknown or abstract class
	NotCommitted         Code = 40109 // newref: outside its transaction
	TagNotFound          Code = 40110
	NotSupported         Code = 40111
	SDPCreate            Code = 40200
	SDPParse             Code = 40201
	NoLocalSDP           Code = 40202
	NoRemoteSDP          Code = 40203
	GenerateOffer        Code = 40204
	ProcessOffer         Code = 40205
	ProcessAnswer        Code = 40206
	SDPConfiguration     Code = 40207
	AlreadyNegotiated    Code = 40208
	NoOffer              Code = 40209
	AnswerProcessed      Code = 40210
	CannotCreateSession  Code = 40211
	HTTPRegistration     Code = 40300
	GatherCandidates     Code = 40400
	AddCandidate         Code = 40401
	Undefined            Code = 40500
	FileNotFound         Code = 40600
	SeekFailed           Code = 40700

	// NotAllowed is ours, from the range that Kurento leaves to modules: the principal lacks a role.
	NotAllowed Code = 49403
)

// String is the name that a client finds in error.data.type, "" for codes that carry no data. The spelling is
// Kurento's, its two slips included.
func (c Code) String() string {
	switch c {
	case InvalidParams:
		return "INVALID_PARAMS"
	case BadParam:
		return "MARSHALL_ERROR"
	case Unexpected:
		return "UNEXPECTED_ERROR"
	case NotConnected:
		return "CONNECT_ERROR"
	case UnsupportedMediaType:
		return "UNSUPPORTED_MEDIA_TYPE"
	case NotImplemented:
		return "NOT_IMPLEMENTED"
	case UnknownSession:
		return "INVALID_SESSION"
	case UnknownOperation:
		return "MALFORMED_TRANSACTION"
	case NotEnoughResources:
		return "NOT_ENOUGH_RESOURCES"
	case TypeNotFound:
		return "MEDIA_OBJECT_TYPE_NOT_FOUND"
	case ObjectNotFound:
		return "MEDIA_OBJECT_NOT_FOUND"
	case ConstructorNotFound:
		return "MEDIA_OBJECT_CONSTRUCTOR_NOT_FOUND"
	case MethodNotFound:
		return "MEDIA_OBJECT_METHOD_NOT_FOUND"
	case EventNotSupported:
		return "MEDIA_OBJECT_EVENT_NOT_SUPPORTED"
	case IllegalParam:
		return "MEDIA_OBJECT_ILLEGAL_PARAM_ERROR"
	case TypeNotAvailable:
		return "MEDIA_OBJECT_NOT_AVAILABLE"
	case NotCommitted:
		return "MEDIA_OBJECT_NOT_FOUND_TRANSACTION_NO_COMMIT"
	case TagNotFound:
		return "MEDIA_OBJECT_TAG_KEY_NOT_FOUND"
	case NotSupported:
		return "MEDIA_OBJECT_OPERATION_NOT_SUPPORTED"
	}
	return c.endpointName()
}

// endpointName names the codes that endpoints raise.
func (c Code) endpointName() string {
	switch c {
	case SDPCreate:
		return "SDP_CREATE_ERROR"
	case SDPParse:
		return "SDP_PARSE_ERROR"
	case NoLocalSDP:
		return "SDP_END_POINT_NO_LOCAL_SDP_ERROR"
	case NoRemoteSDP:
		return "SDP_END_POINT_NO_REMOTE_SDP_ERROR"
	case GenerateOffer:
		return "SDP_END_POINT_GENERATE_OFFER_ERROR"
	case ProcessOffer:
		return "SDP_END_POINT_PROCESS_OFFER_ERROR"
	case ProcessAnswer:
		return "SDP_END_POINT_PROCESS_ANSWER_ERROR"
	case SDPConfiguration:
		return "SDP_CONFIGURATION_ERROR"
	case AlreadyNegotiated:
		return "SDP_END_POINT_ALREADY_NEGOTIATED"
	case NoOffer:
		return "SDP_END_POINT_NOT_OFFER_GENERATED"
	case AnswerProcessed:
		return "SDP_END_POINT_ANSWER_ALREADY_PROCCESED"
	case CannotCreateSession:
		return "SDP_END_POINT_CANNOT_CREATE_SESSON"
	case HTTPRegistration:
		return "HTTP_END_POINT_REGISTRATION_ERROR"
	case GatherCandidates:
		return "ICE_GATHER_CANDIDATES_ERROR"
	case AddCandidate:
		return "ICE_ADD_CANDIDATE_ERROR"
	case Undefined:
		return "UNDEFINED"
	case FileNotFound:
		return "URI_PATH_FILE_NOT_FOUND"
	case SeekFailed:
		return "PLAYER_SEEK_FAIL"
	case NotAllowed:
		return "NOT_ALLOWED"
	}
	return ""
}

// Error is one that a client may see: its message goes out as it stands. Err is the cause, for the log alone.
type Error struct {
	Code    Code
	Message string
	Err     error
}

func (e *Error) Error() string {
	if e.Err != nil {
		return fmt.Sprintf("%s (%d): %v", e.Message, int(e.Code), e.Err)
	}
	return fmt.Sprintf("%s (%d)", e.Message, int(e.Code))
}

func (e *Error) Unwrap() error { return e.Err }

// Errorf makes an error that a client sees.
func Errorf(code Code, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

// Fault is a line of the table that turns errors of elements into codes: an error that Is this one is sent with the
// code and with Is's own text, never with what was wrapped around it.
type Fault struct {
	Is   error
	Code Code
}

// Outside is what a client learns of an error. One that nobody classified says only that it happened.
func Outside(err error) *Error {
	if e, ok := errors.AsType[*Error](err); ok {
		return &Error{Code: e.Code, Message: e.Message}
	}
	return &Error{Code: Internal, Message: "Internal error"}
}

// WireError is the error member of a JSON-RPC response.
type WireError struct {
	Code    Code      `json:"code"`
	Message string    `json:"message"`
	Data    *WireKind `json:"data,omitempty"`
}

// WireKind is what clients read beside the number.
type WireKind struct {
	Type string `json:"type"`
}

// Wire is the error in its form for the response.
func (e *Error) Wire() WireError {
	w := WireError{Code: e.Code, Message: e.Message}
	if kind := e.Code.String(); kind != "" {
		w.Data = &WireKind{kind}
	}
	return w
}

func notFound(id string) *Error {
	if len(id) > 7 && id[:7] == "newref:" {
		return Errorf(NotCommitted, "Object '%s' not found: its transaction isn't committed", brief(id))
	}
	return Errorf(ObjectNotFound, "Object '%s' not found", brief(id))
}

// brief bounds what an error repeats of what came in.
func brief(s string) string {
	const most = 200
	if len(s) <= most {
		return s
	}
	return s[:most] + "…"
}
