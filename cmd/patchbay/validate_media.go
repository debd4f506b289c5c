package main

import (
	"fmt"
	"time"
)

// maxInterfaces bounds media.addresses: each has a set of ports of its own.
const maxInterfaces = 32

// mediaInterfaces checks where RTP is received. The first address of a family is the default; others are for those who name them.
func (d *document) mediaInterfaces(list []MediaInterface) {
	if n := len(list); n == 0 || n > maxInterfaces {
		d.bad("media.addresses", "has %d entries, expected 1 to %d: one IPv4, one IPv6, and others with names", n, maxInterfaces)
	}
	named, first := map[string]string{}, map[bool]string{}
	for i, a := range list {
		f := fmt.Sprintf("media.addresses[%d]", i)
		if a.Name != "" {
			d.id(f+".name", a.Name)
		}
		if !a.Bind.IsValid() {
			d.bad(f+".bind", "missing, expected an IP address")
			continue
		}
		d.mediaAddress(f, a.address())
		if before, ok := first[a.Bind.Is4()]; ok && a.Name == "" {
			d.bad(f+".name", "missing: %s%s is the default of this address family; expected a name that users and trunks pick this one by", before, d.line(before))
		} else if !ok {
			first[a.Bind.Is4()] = f
		}
		if a.Name != "" {
			d.once(named, f+".name", fmt.Sprintf("%s of IPv6: %t", a.Name, a.Bind.Is6()), "this name, for this address family,")
		}
	}
}

// interfaceNamed checks that a name is one of media.addresses.
func (d *document) interfaceNamed(c *Config, field, name string) {
	if name == "" {
		return
	}
	var names []string
	for _, a := range c.Media.Addresses {
		if a.Name == name {
			return
		}
		if a.Name != "" {
			names = append(names, a.Name)
		}
	}
	if len(names) == 0 {
		d.bad(field, "no entry of media.addresses has a name")
		return
	}
	d.bad(field, "expected a name of media.addresses: %s", oneOf(names))
}

// trunkMedia checks where a trunk's RTP is received and how it is cut.
func (d *document) trunkMedia(c *Config, f string, t *Trunk) {
	d.interfaceNamed(c, f+".interface", t.Interface)
	if t.Interface != "" && t.Media != (MediaAddress{}) {
		d.bad(f+".interface", "expected either interface or media, not both")
	}
	if t.Media.Bind.IsValid() {
		d.mediaAddress(f+".media", t.Media)
	} else if t.Media.Advertise.IsValid() && t.Media.Advertise.IsUnspecified() {
		d.bad(f+".media.advertise", "expected an address that RTP can be sent to")
	}
	if t.Ptime != 0 {
		d.between(f+".ptime", t.Ptime, 10*time.Millisecond, 60*time.Millisecond)
		if t.Ptime%time.Millisecond != 0 {
			d.bad(f+".ptime", "expected whole milliseconds")
		}
	}
}
