package rpc

import (
	"bytes"
	"strconv"
)

// Bounds of a transaction.
const (
	maxOperations  = 1000
	maxTransaction = 16 << 20 // bytes of its reply, and of one operation's parameters once references are put in
)

// newref is how an operation names the result of an earlier one: newref:0 stands for the value of the first.
const newref = `"newref:`

// transaction executes requests one after another. It stops at the first that fails, whose error is the last answer; what
// was done before stays done.
func (t *task) transaction() ([]byte, error) {
	ops, err := t.operations()
	if err != nil {
		return nil, err
	}
	if err := t.conn.allow("transaction", 0, float64(len(ops)-1)); err != nil {
		return nil, err
	}
	values := make([][]byte, 0, len(ops))
	out := []byte{'['}
	for i, raw := range ops {
		if i > 0 {
			out = append(out, ',')
		}
		if raw, err = commit(raw, values); err != nil {
			return nil, err
		}
		members, err := t.operation(raw)
		id := number(i)
		if err == nil && len(out)+len(members) > maxTransaction {
			err = Errorf(NotEnoughResources, "Transaction's reply is larger than %d bytes", maxTransaction)
		}
		if err != nil {
			failed := Outside(err)
			t.conn.server.stats.failed(failed.Code)
			out = appendError(out, id, failed)
			break
		}
		out = appendResult(out, id, members, t.session.quoted)
		values = append(values, valueOf(members))
	}
	return value(append(out, ']')), nil
}

// operations reads the list, and refuses it as a whole where ids or references are wrong.
func (t *task) operations() ([][]byte, error) {
	raw := member(t.request.params, "operations")
	switch {
	case raw == nil:
		return nil, Errorf(BadEnvelope, "'operations' parameter is required")
	case raw[0] != '[':
		return nil, Errorf(BadEnvelope, "'operations' parameter should be a list")
	}
	var ops [][]byte
	for w := items(raw); w.next(); {
		i := len(ops)
		if i == maxOperations {
			return nil, Errorf(UnknownOperation, "Transaction has more than %d operations", maxOperations)
		}
		if w.val[0] != '{' || string(bytes.Trim(member(w.val, "id"), `"`)) != strconv.Itoa(i) {
			return nil, Errorf(UnknownOperation, "Id of request '%d' should be '%d'", i, i)
		}
		var wrong error
		references(member(w.val, "params"), func(_, _ int, name string) {
			if n, err := strconv.Atoi(name); err != nil || n < 0 || n >= i {
				wrong = Errorf(UnknownOperation, "Operation %d refers to 'newref:%s': expected the number of an operation before it", i, brief(name))
			}
		})
		if wrong != nil {
			return nil, wrong
		}
		ops = append(ops, w.val)
	}
	return ops, nil
}

// references finds the strings in a document that have the form newref:X; X is the name.
func references(raw []byte, found func(begin, end int, name string)) {
	for i := 0; i < len(raw); i++ {
		if raw[i] != '"' {
			continue
		}
		end := stringEnd(raw, i)
		if next := blank(raw, end); bytes.HasPrefix(raw[i:end], []byte(newref)) && (next == len(raw) || raw[next] != ':') {
			found(i, end, string(raw[i+len(newref):end-1]))
		}
		i = end - 1
	}
}

// commit puts the values of earlier operations into one's parameters.
func commit(raw []byte, values [][]byte) ([]byte, error) {
	if !bytes.Contains(raw, []byte(newref)) {
		return raw, nil
	}
	var out []byte
	var wrong error
	last := 0
	references(raw, func(begin, end int, name string) {
		n, err := strconv.Atoi(name)
		switch {
		case wrong != nil:
		case err != nil || n < 0 || n >= len(values) || values[n] == nil:
			wrong = Errorf(UnknownOperation, "'newref:%s' has no value", brief(name))
		case len(out)+len(values[n]) > maxTransaction:
			wrong = Errorf(UnknownOperation, "Parameters are larger than %d bytes once 'newref:%s' is put in", maxTransaction, brief(name))
		default:
			out = append(append(out, raw[last:begin]...), values[n]...)
			last = end
		}
	})
	if wrong != nil {
		return nil, wrong
	}
	return append(out, raw[last:]...), nil
}

// operation executes one of the transaction's requests.
func (t *task) operation(raw []byte) ([]byte, error) {
	req, err := readRequest(raw)
	if err != nil {
		return nil, err
	}
	t.conn.server.stats.request(req.method)
	m := t.conn.server.methods[req.method]
	switch {
	case m == nil || m.name == "transaction":
		return nil, Errorf(UnknownMethod, "Method not found.")
	case req.params != nil && req.params[0] != '{', req.params == nil && !m.bare:
		return nil, Errorf(InvalidParams, "Invalid method parameters: 'params' should be a object")
	}
	if err := t.conn.allow(m.name, m.needs, 0); err != nil {
		return nil, err
	}
	if m.now { // the session and its connection are this one's
		switch m.name {
		case "ping":
			return value([]byte(`"pong"`)), nil
		case "connect":
			return appendMember(nil, "serverId", quote(t.conn.server.id)), nil
		}
		return nil, nil
	}
	one := *t
	one.request, one.method = req, m
	return m.run(&one)
}

// valueOf is the value among a result's members; nil if there is none.
func valueOf(members []byte) []byte {
	raw, ok := bytes.CutPrefix(members, []byte(`"value":`))
	if !ok {
		return nil
	}
	return bytes.TrimSuffix(raw, []byte(","))
}
