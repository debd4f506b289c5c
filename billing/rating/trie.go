package rating

import "math/bits"

// trie finds the longest prefix of a number. Its first four digits are looked up in one table, then two at a time in nodes that are as
// large as what they hold, so that all of it stays near the processor: a number costs a fetch from memory for each pair of digits that
// its prefix has behind the fourth, and one for the value. Nodes say what the shorter prefixes say wherever no longer one does, so
// that only the last one's value is read.
type trie struct {
	short []int32 // value of numbers of up to three digits, by the number behind a 1
	heads []headed
	nodes []node
	vals  []int32 // a prefix's value and 1; 0: no prefix
}

const (
	head      = 4
	headCount = 10_000
	shorts    = 2000
	slots     = 110 // of a node: for each first digit the numbers that end with it, then those with each second one
)

func slotOf(first, second int) int { return first*11 + 1 + second }

// headed is what numbers with these four digits have.
type headed struct {
	value int32
	node  int32 // and 1; 0: no prefix is longer
}

// node is what two digits lead to. A bit of runs is where the value differs from that of the slot before, so that a prefix that
// many slots share is kept once; a bit of kids is where longer prefixes are.
type node struct {
	runs, kids       [2]uint64
	valBase, kidBase int32
}

func (n *node) has(set *[2]uint64, slot int) bool { return set[slot>>6]&(1<<(slot&63)) != 0 }

// rank is how many slots before one have a bit.
func rank(set *[2]uint64, slot int) int32 {
	if slot < 64 {
		return int32(bits.OnesCount64(set[0] & (1<<slot - 1)))
	}
	return int32(bits.OnesCount64(set[0]) + bits.OnesCount64(set[1]&(1<<(slot&63)-1)))
}

// newTrie is over prefixes in ascending order, each once; what is found of a prefix is the value at its index, 0 or more.
func newTrie(prefixes []string, values []int32) *trie {
	t := &trie{short: make([]int32, shorts), heads: make([]headed, headCount)}
	for i, p := range prefixes { // a shorter one comes before those that it begins
		key, span := 1, 1
		for _, c := range []byte(p[:min(len(p), head)]) {
			key = key*10 + int(c-'0')
		}
		for digits := len(p); digits <= head; digits++ {
			for k := key * span; k < (key+1)*span; k++ {
				if digits == head {
					t.heads[k-headCount].value = values[i] + 1
				} else {
					t.short[k] = values[i] + 1
				}
			}
			span *= 10
		}
	}
	for i := 0; i < len(prefixes); {
		n := same(prefixes[i:], head)
		if len(prefixes[i]) >= head {
			group := prefixes[i : i+n]
			if len(group[0]) == head {
				group = group[1:]
			}
			if len(group) > 0 {
				t.nodes = append(t.nodes, node{})
				no := len(t.nodes) - 1
				k := 0
				for _, c := range []byte(prefixes[i][:head]) {
					k = k*10 + int(c-'0')
				}
				t.grow(no, group, values[i+n-len(group):i+n], head, t.heads[k].value)
				t.heads[k].node = int32(no) + 1
			}
		}
		i += n
	}
	return t
}

// same is how many of the first prefixes begin with the same digits; one that has less is alone.
func same(prefixes []string, digits int) int {
	p := prefixes[0]
	if len(p) < digits {
		return 1
	}
	n := 1
	for n < len(prefixes) && len(prefixes[n]) >= digits && prefixes[n][:digits] == p[:digits] {
		n++
	}
	return n
}

// grow fills a node with prefixes that are longer than depth; shorter is what those up to there say.
func (t *trie) grow(no int, prefixes []string, values []int32, depth int, shorter int32) {
	var vals [slots]int32
	for i := range vals {
		vals[i] = shorter
	}
	type branch struct{ slot, from, to int }
	var kids []branch
	for i := 0; i < len(prefixes); {
		p := prefixes[i]
		first := int(p[depth] - '0')
		if len(p) == depth+1 {
			for slot := slotOf(first, -1); slot <= slotOf(first, 9); slot++ {
				vals[slot] = values[i] + 1
			}
			i++
			continue
		}
		slot, n := slotOf(first, int(p[depth+1]-'0')), same(prefixes[i:], depth+2)
		from := i
		if len(p) == depth+2 {
			vals[slot] = values[i] + 1
			from++
		}
		if i += n; from < i {
			kids = append(kids, branch{slot, from, i})
		}
	}
	x := node{valBase: int32(len(t.vals)), kidBase: int32(len(t.nodes))}
	for slot, v := range vals {
		if slot == 0 || v != vals[slot-1] {
			x.runs[slot>>6] |= 1 << (slot & 63)
			t.vals = append(t.vals, v)
		}
	}
	for _, k := range kids {
		x.kids[k.slot>>6] |= 1 << (k.slot & 63)
	}
	t.nodes[no] = x
	t.nodes = append(t.nodes, make([]node, len(kids))...)
	for i, k := range kids {
		t.grow(int(x.kidBase)+i, prefixes[k.from:k.to], values[k.from:k.to], depth+2, vals[k.slot])
	}
}

// find is the value of the longest prefix that the number begins with; -1: there is none. The number ends where its digits do.
func (t *trie) find(number string) int {
	key, i := 1, 0
	for ; i < head; i++ {
		if i == len(number) || number[i]-'0' > 9 {
			return int(t.short[key]) - 1
		}
		key = key*10 + int(number[i]-'0')
	}
	h := &t.heads[key-headCount]
	no, at := h.node, int32(-1)
	for no != 0 && i < len(number) && number[i]-'0' <= 9 {
		n, slot := &t.nodes[no-1], slotOf(int(number[i]-'0'), -1)
		if i+1 < len(number) {
			if e := number[i+1] - '0'; e <= 9 {
				slot += int(e) + 1
			}
		}
		at = n.valBase + rank(&n.runs, slot+1) - 1
		if !n.has(&n.kids, slot) {
			break
		}
		no = n.kidBase + rank(&n.kids, slot) + 1
		i += 2
	}
	if at < 0 {
		return int(h.value) - 1
	}
	return int(t.vals[at]) - 1
}
