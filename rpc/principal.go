package rpc

import (
	"fmt"
	"strings"
	"time"
)

// Role is what a principal may do; roles are added up. Control and Billing include Read, Admin includes all.
type Role uint8

const (
	// Read is describe, subscribe, getters and other operations that change nothing.
	Read Role = 1 << iota
	// Control is create, release, transactions, setters and all operations that need no other role.
	Control
	// Billing is operations that are marked as needing it: records, rates, money.
	Billing
	// Admin is the objects and sessions of all tenants.
	Admin
)

// AllRoles is who may do everything.
const AllRoles = Read | Control | Billing | Admin

// roleNames are in the order of their bits.
func roleNames() []string { return []string{"read", "control", "billing", "admin"} }

// ParseRole reads a role's name: read, control, billing or admin.
func ParseRole(name string) (Role, error) {
	for i, n := range roleNames() {
		if n == name {
			return 1 << i, nil
		}
	}
	return 0, fmt.Errorf("role %q: expected one of %s", name, strings.Join(roleNames(), ", "))
}

// Grant reports whether who has the roles r may do what needs the role.
func (r Role) Grant(need Role) bool {
	if r&Admin != 0 {
		return true
	}
	if r&(Control|Billing) != 0 {
		r |= Read
	}
	return r&need == need
}

// String lists the roles' names.
func (r Role) String() string {
	var out []string
	for i, n := range roleNames() {
		if r&(1<<i) != 0 {
			out = append(out, n)
		}
	}
	if out == nil {
		return "none"
	}
	return strings.Join(out, ", ")
}

// refusal names the role that is missing.
func (r Role) refusal(need Role, what string) *Error {
	return Errorf(NotAllowed, "'%s' needs the role %s, you have: %s", brief(what), need, r)
}

// Principal is who is at the other end of a connection, as the program has found out.
type Principal struct {
	Name   string // unique; sessions and quotas are kept by it
	Tenant string // whose objects it makes and sees
	Roles  Role
	Quota  Quota
	// Foreign says that it may be on another host: it showed a token. It has us reach no address that it could not.
	Foreign bool
	// Expires is when its connections are closed; zero = never.
	Expires time.Time
}

// Quota bounds what a principal has at a time; 0 = only the server's own bounds count.
type Quota struct {
	Objects     int     // of its tenant
	Sessions    int     // of the principal, as are those that follow
	Connections int     //
	Rate        float64 // requests per second, operations of a transaction counted; twice that in a burst
}
