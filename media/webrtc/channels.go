package webrtc

import (
	"errors"
	"fmt"
	"sync"

	pwebrtc "github.com/pion/webrtc/v4"

	"github.com/patchbay/patchbay/media"
)

// channelsMax is how many are open at a time.
const channelsMax = 64

// Errors of data channels.
var (
	// ErrNoData is the refusal to open a data channel where none were agreed, or not yet.
	ErrNoData = errors.New("webrtc: no data channels are agreed, or they aren't ready yet")
	// ErrNoChannel says that there is no open channel of that id.
	ErrNoChannel = errors.New("webrtc: no such data channel")
	// ErrChannels is the refusal of one more.
	ErrChannels = fmt.Errorf("webrtc: more than %d data channels", channelsMax)
)

// ChannelOptions say how messages of a data channel travel (RFC 8832 5.1). MaxLife and MaxAgain, -1 = not said, exclude
// each other.
type ChannelOptions struct {
	Label, Protocol string
	Unordered       bool
	MaxLife         int // ms in which a message is sent again if it is lost
	MaxAgain        int // how often it is
}

// ChannelStats are a data channel's counts.
type ChannelStats struct {
	ID                              int
	Label, Protocol                 string
	State                           string // connecting, open, closing or closed
	Sent, SentBytes, Came, CameSize uint64
}

// ChannelOpened and ChannelClosed tell of data channels, whoever opened them.
type (
	ChannelOpened struct{ ID int }
	ChannelClosed struct{ ID int }
)

func (ChannelOpened) event() {}
func (ChannelClosed) event() {}

// channels are an endpoint's data channels. Messages of all of them leave by one source; what enters the sink goes out on all
// that are open, by a goroutine: SCTP may make it wait, each channel for itself.
type channels struct {
	r            *rich
	source       media.Source
	sink         dataSink
	text, binary *media.Format

	flow   sync.Mutex // one message at a time leaves by the source
	closed bool       // under flow
	frame  media.Frame

	mu             sync.Mutex
	line           *pionLine
	list           []*channel
	opens, closes  uint64
	dropped        uint64
	some           chan struct{}
	done           chan struct{}
	once           sync.Once
	work           sync.WaitGroup
	running, ended bool
}

// channel is one.
type channel struct {
	dc         *pwebrtc.DataChannel
	line       *pionLine
	id         int
	open, over bool
	waits      outbox
	stats      ChannelStats
}

func (c *channels) init(r *rich) {
	c.r, c.text, c.binary = r, media.Message(true), media.Message(false)
	c.some, c.done = make(chan struct{}, 1), make(chan struct{})
	c.source.Init(nil, nil)
	c.source.SetFormats(c.text, c.binary)
	c.sink.c, c.sink.caps = c, &media.Caps{Formats: []*media.Format{c.text, c.binary}}
}

func (c *channels) change(s *scene, l *pionLine) {
	if s == nil || s.data == nil {
		l = nil
	}
	c.mu.Lock()
	c.line = l
	c.mu.Unlock()
}

// opened takes a channel of the peer's, or one of ours once it is made.
func (c *channels) opened(l *pionLine, dc *pwebrtc.DataChannel) {
	n := &channel{dc: dc, line: l}
	c.mu.Lock()
	if c.ended || len(c.list) >= channelsMax {
		c.mu.Unlock()
		_ = dc.Close() // one too many
		return
	}
	c.list = append(c.list, n)
	c.mu.Unlock()
	dc.SetBufferedAmountLowThreshold(bufferedMax / 2)
	dc.OnBufferedAmountLow(c.poke)
	dc.OnOpen(func() { c.up(n) })
	dc.OnMessage(func(m pwebrtc.DataChannelMessage) { c.came(n, m) })
	dc.OnClose(func() { c.down(n) })
}

func (c *channels) up(n *channel) {
	id := n.dc.ID()
	if id == nil {
		return
	}
	c.mu.Lock()
	tell := !n.open && !n.over && !c.ended
	if tell {
		n.open, n.id = true, int(*id)
		c.opens++
	}
	c.mu.Unlock()
	if tell {
		c.r.e.watch.tells(ChannelOpened{n.id})
	}
}

func (c *channels) down(n *channel) {
	c.mu.Lock()
	tell := n.open && !n.over && !c.ended
	if !n.over && n.open {
		c.closes++
	}
	n.over = true
	for i, o := range c.list {
		if o == n {
			c.list = append(c.list[:i:i], c.list[i+1:]...)
			break
		}
	}
	c.mu.Unlock()
	if tell {
		c.r.e.watch.tells(ChannelClosed{n.id})
	}
}

// came passes a message of the peer's on.
func (c *channels) came(n *channel, m pwebrtc.DataChannelMessage) {
	c.up(n) // pion may tell of a message first
	c.mu.Lock()
	n.stats.Came++
	n.stats.CameSize += uint64(len(m.Data))
	c.mu.Unlock()
	c.flow.Lock()
	defer c.flow.Unlock()
	if c.closed {
		return
	}
	f := c.binary
	if m.IsString {
		f = c.text
	}
	c.frame = media.Frame{Kind: media.Data, Format: f, Payload: m.Data, Sequence: c.frame.Sequence + 1, Epoch: 1}
	c.source.Send(&c.frame)
}

// OpenChannel opens a data channel; Watch is told of its id when the peer has it too. The errors are ErrNoData and
// ErrChannels, or the stack's.
func (e *Endpoint) OpenChannel(o ChannelOptions) error {
	if e.rich == nil {
		return ErrNoData
	}
	c := &e.rich.data
	c.mu.Lock()
	l, full := c.line, len(c.list) >= channelsMax
	c.mu.Unlock()
	if l == nil || !l.ready() {
		return ErrNoData
	}
	if full {
		return ErrChannels
	}
	l.mu.Lock()
	pc := l.pc
	l.mu.Unlock()
	ordered := !o.Unordered
	init := &pwebrtc.DataChannelInit{Ordered: &ordered, Protocol: &o.Protocol}
	number := func(n int) *uint16 {
		if n < 0 {
			return nil
		}
		v := uint16(min(n, 65535))
		return &v
	}
	init.MaxPacketLifeTime, init.MaxRetransmits = number(o.MaxLife), number(o.MaxAgain)
	dc, err := pc.CreateDataChannel(o.Label, init)
	if err != nil {
		return fmt.Errorf("webrtc: open data channel: %w", err)
	}
	c.opened(l, dc)
	return nil
}

// CloseChannel closes an open data channel.
func (e *Endpoint) CloseChannel(id int) error {
	if e.rich == nil {
		return ErrNoData
	}
	c := &e.rich.data
	c.mu.Lock()
	var dc *pwebrtc.DataChannel
	for _, n := range c.list {
		if n.open && n.id == id {
			dc = n.dc
		}
	}
	c.mu.Unlock()
	if dc == nil {
		return ErrNoChannel
	}
	if err := dc.Close(); err != nil {
		return fmt.Errorf("webrtc: close data channel: %w", err)
	}
	return nil
}

// Channels are those that are there now, and how many were opened and closed since the endpoint began.
func (e *Endpoint) Channels() (list []ChannelStats, opened, closed uint64) {
	if e.rich == nil {
		return nil, 0, 0
	}
	c := &e.rich.data
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, n := range c.list {
		st := n.stats
		st.ID, st.Label, st.Protocol, st.State = n.id, n.dc.Label(), n.dc.Protocol(), n.dc.ReadyState().String()
		list = append(list, st)
	}
	return list, c.opens, c.closes
}

func (c *channels) notes(s *media.Snapshot) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s.Note("webrtc.data.dropped", float64(c.dropped))
}

func (c *channels) close() {
	c.flow.Lock()
	c.closed = true
	c.flow.Unlock()
	c.mu.Lock()
	c.ended = true
	c.mu.Unlock()
	c.once.Do(func() { close(c.done) })
	c.work.Wait()
	c.source.Close()
}
