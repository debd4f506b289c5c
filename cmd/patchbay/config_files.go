package main

import (
	"net/netip"
	"time"
)

// URLs is what programs may play from and record to, beside files in media.root.
type URLs struct {
	Schemes  []string       `yaml:"schemes"`   // file, http, https, s3, rtsp, rtsps
	Private  []netip.Prefix `yaml:"private"`   // addresses that may be reached though they aren't public
	MaxSize  Size           `yaml:"max_size"`  // of one file, played or recorded
	MaxAll   Size           `yaml:"max_all"`   // of all that is on its way from and to servers
	MaxFiles Size           `yaml:"max_files"` // of all files in media.root, when something is recorded there; 0 = any
	MinFree  Size           `yaml:"min_free"`  // that stays free where recordings are written
	MaxTime  time.Duration  `yaml:"max_time"`  // that a server may take for one file
	Stall    time.Duration  `yaml:"stall"`     // a server that says nothing for so long has failed
	S3       S3             `yaml:"s3"`
}

// S3 is an object store that recordings are put in.
type S3 struct {
	Endpoint string `yaml:"endpoint"` // http(s)://host[:port]
	Region   string `yaml:"region"`
	Key      string `yaml:"key"`
	Secret   Secret `yaml:"secret"`
}
