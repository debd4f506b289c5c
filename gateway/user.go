package gateway

import "time"

// User is a person or a desk phone that registers here.
type User struct {
	ID, Tenant string
	Login      string // SIP user and digest user name
	Password   string // one of these
	HA1        string // hex MD5 of login:realm:password
	Numbers    []string
	CallerID   string
	CallerName string
	Codecs     []string
	DTMF       string // rfc4733, info, none
	MaxCalls   int
	Ring       time.Duration // when somebody dials one of the numbers
}

func (u *User) id() string {
	if u == nil {
		return ""
	}
	return u.ID
}

// source is who a call comes from: a user or a trunk.
type source struct {
	user  *User
	trunk *trunk
}

func (s source) key() string {
	if s.user != nil {
		return "user:" + s.user.ID
	}
	return "trunk:" + s.trunk.ID
}

func (s source) max() int {
	if s.user != nil {
		return s.user.MaxCalls
	}
	return s.trunk.MaxCalls
}

func (s source) tenant() string {
	if s.user != nil {
		return s.user.Tenant
	}
	return s.trunk.Tenant
}

func (s source) codecs() []string {
	if s.user != nil {
		return s.user.Codecs
	}
	return s.trunk.Codecs
}

func (s source) dtmf() string {
	if s.user != nil {
		return s.user.DTMF
	}
	return s.trunk.DTMF
}
