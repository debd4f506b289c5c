package billing

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"net/netip"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/patchbay/patchbay/gateway/call"
)

// array is a one-dimensional array of a column's values in Postgres's binary form: a whole batch of rows is one parameter for each
// column, appended here without a look at types by reflection.
type array struct {
	kind  string // of the elements, as SQL calls it
	n     int
	nulls bool
	b     []byte
}

// arrayHeader is the number of dimensions, whether there are nulls, the elements' type, their number, and that of the first.
const arrayHeader = 5 * 4

// elements are the types of elements by name, and those of their arrays.
func elements() map[string]struct{ one, many uint32 } {
	return map[string]struct{ one, many uint32 }{
		"uuid": {pgtype.UUIDOID, pgtype.UUIDArrayOID}, "text": {pgtype.TextOID, pgtype.TextArrayOID},
		"bigint": {pgtype.Int8OID, pgtype.Int8ArrayOID}, "timestamptz": {pgtype.TimestamptzOID, pgtype.TimestamptzArrayOID},
		"boolean": {pgtype.BoolOID, pgtype.BoolArrayOID}, "inet": {pgtype.InetOID, pgtype.InetArrayOID},
		"float8": {pgtype.Float8OID, pgtype.Float8ArrayOID}, "jsonb": {pgtype.JSONBOID, pgtype.JSONBArrayOID},
	}
}

func newArray(kind string) *array { return &array{kind: kind, b: make([]byte, arrayHeader, 1024)} }

// begin starts the next element, whose bytes follow; end says how many they were.
func (a *array) begin() int {
	a.n++
	a.b = append(a.b, 0, 0, 0, 0)
	return len(a.b)
}

func (a *array) end(from int) { binary.BigEndian.PutUint32(a.b[from-4:], uint32(len(a.b)-from)) }

func (a *array) null() {
	a.n++
	a.nulls = true
	a.b = append(a.b, 0xff, 0xff, 0xff, 0xff)
}

func (a *array) text(s string) {
	a.n++
	a.b = append(binary.BigEndian.AppendUint32(a.b, uint32(len(s))), s...)
}

func (a *array) bytes(s []byte) {
	a.n++
	a.b = append(binary.BigEndian.AppendUint32(a.b, uint32(len(s))), s...)
}

func (a *array) uuid(id [16]byte) {
	a.n++
	a.b = append(append(a.b, 0, 0, 0, 16), id[:]...)
}

func (a *array) int(v int64) {
	a.n++
	a.b = binary.BigEndian.AppendUint64(append(a.b, 0, 0, 0, 8), uint64(v))
}

// epoch of Postgres's times, in microseconds of ours.
const postgresEpoch = 946_684_800_000_000

func (a *array) time(t time.Time) { a.int(t.UnixMicro() - postgresEpoch) }

func (a *array) bool(v bool) {
	a.n++
	bit := byte(0)
	if v {
		bit = 1
	}
	a.b = append(a.b, 0, 0, 0, 1, bit)
}

func (a *array) addr(ip netip.Addr) {
	const v4, v6 = 2, 3 // as Postgres numbers families
	at := a.begin()
	family := byte(v6)
	if ip.Is4() {
		family = v4
	}
	a.b = append(a.b, family, byte(ip.BitLen()), 0, byte(ip.BitLen()/8))
	a.b = append(a.b, ip.AsSlice()...)
	a.end(at)
}

// json appends an element of kind jsonb.
func (a *array) json(v any) error {
	const version = 1
	at := a.begin()
	a.b = append(a.b, version)
	var err error
	if q, ok := v.(*call.Quality); ok {
		a.b, err = q.AppendJSON(a.b)
	} else {
		var b []byte
		b, err = json.Marshal(v)
		a.b = append(a.b, cleanJSON(b)...)
	}
	a.end(at)
	return err
}

// add appends a value of a column; nil and pointers that are nil are null.
func (a *array) add(v any) error {
	fits := ""
	switch v := v.(type) {
	case nil:
		a.null()
		return nil
	case string:
		fits = "text"
		a.text(v)
	case uuid.UUID:
		fits = "uuid"
		a.uuid(v)
	case int:
		fits = "bigint"
		a.int(int64(v))
	case int64:
		fits = "bigint"
		a.int(v)
	case uint64:
		fits = "bigint"
		a.int(int64(v))
	case *int64:
		if v == nil {
			a.null()
			return nil
		}
		fits = "bigint"
		a.int(*v)
	case time.Time:
		fits = "timestamptz"
		a.time(v)
	case bool:
		fits = "boolean"
		a.bool(v)
	case netip.Addr:
		fits = "inet"
		a.addr(v)
	case *float64:
		if v == nil {
			a.null()
			return nil
		}
		fits = "float8"
		a.int(int64(math.Float64bits(*v)))
	case *call.Quality:
		if v == nil {
			a.null()
			return nil
		}
		fits = "jsonb"
		if err := a.json(v); err != nil {
			return err
		}
	case *call.Carried:
		if v == nil {
			a.null()
			return nil
		}
		fits = "jsonb"
		if err := a.json(v); err != nil {
			return err
		}
	}
	if fits != a.kind {
		return fmt.Errorf("a value of type %T stands in a column of kind %s", v, a.kind)
	}
	return nil
}

// binaryArray is a parameter that is in Postgres's form already.
type binaryArray []byte

// param is the array as a parameter.
func (a *array) param() binaryArray {
	nulls := uint32(0)
	if a.nulls {
		nulls = 1
	}
	for i, v := range [...]uint32{1, nulls, elements()[a.kind].one, uint32(a.n), 1} {
		binary.BigEndian.PutUint32(a.b[4*i:], v)
	}
	return a.b
}

// readyCodec takes a binaryArray as it is, and leaves all else to the codec that it is before.
type readyCodec struct{ pgtype.Codec }

// PreferredFormat implements pgtype.Codec.
func (c readyCodec) PreferredFormat() int16 { return pgtype.BinaryFormatCode }

// PlanEncode implements pgtype.Codec.
func (c readyCodec) PlanEncode(m *pgtype.Map, oid uint32, format int16, value any) pgtype.EncodePlan {
	if _, ok := value.(binaryArray); ok && format == pgtype.BinaryFormatCode {
		return readyPlan{}
	}
	return c.Codec.PlanEncode(m, oid, format, value)
}

type readyPlan struct{}

// Encode implements pgtype.EncodePlan.
func (readyPlan) Encode(value any, buf []byte) ([]byte, error) {
	return append(buf, value.(binaryArray)...), nil
}

// takeArrays has a connection take a binaryArray for every kind of array.
func takeArrays(m *pgtype.Map) {
	for _, e := range elements() {
		if t, ok := m.TypeForOID(e.many); ok {
			m.RegisterType(&pgtype.Type{Name: t.Name, OID: t.OID, Codec: readyCodec{t.Codec}})
		}
	}
}
