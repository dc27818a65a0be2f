package wire

import (
	"slices"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/sitekeep/sitekeep/pkg/archive"
	agentv1 "github.com/sitekeep/sitekeep/proto/sitekeep/agent/v1"
	archivev1 "github.com/sitekeep/sitekeep/proto/sitekeep/archive/v1"
)

// Entries are most of what crosses the wire of a backup in which little changed:
// a message for each would be a dozen allocations. So the messages that hold them
// carry them encoded, as a run of the field that they are, among the fields that
// protobuf passes on as they came ("unknown"). On the wire that is no difference.

// Numbers of the fields that hold entries.
const (
	entriesOfFrame     protowire.Number = 6
	entriesOfReference protowire.Number = 5
	entriesOfBaseFrame protowire.Number = 5
)

// usualEntry is about how many bytes an entry has on the wire.
const usualEntry = 160

// putEntries has m carry entries as a field of its.
func putEntries(m proto.Message, field protowire.Number, entries []archive.Entry) {
	if len(entries) == 0 {
		return
	}
	b := encoded.Get(len(entries) * usualEntry)
	*b = (*b)[:0]
	for i := range entries {
		*b = appendEntry(*b, field, &entries[i])
	}
	m.ProtoReflect().SetUnknown(*b)
}

// encoded are buffers of entries that were sent.
var encoded = new(bufferPool)

// Sent says that frames made by BaseFrameToProto were sent and are not used any
// more: what they carry makes room for the next.
func Sent(frames []*agentv1.BaseFrame) {
	for _, f := range frames {
		if b := f.ProtoReflect().GetUnknown(); b != nil {
			f.ProtoReflect().SetUnknown(nil)
			encoded.Put((*[]byte)(&b))
		}
	}
}

// appendEntry appends one entry of a field.
func appendEntry(b []byte, field protowire.Number, e *archive.Entry) []byte {
	b = protowire.AppendTag(b, field, protowire.BytesType)
	start := len(b)
	b = archive.AppendEntry(b, e)
	var size [10]byte
	return slices.Insert(b, start, protowire.AppendVarint(size[:0], uint64(len(b)-start))...)
}

// entriesOf returns the entries that m carries, then those of list, which came as
// messages of their own. Errors are like FrameFromProto's.
func entriesOf(m proto.Message, field protowire.Number, list []*archivev1.Entry) ([]archive.Entry, error) {
	carried := m.ProtoReflect().GetUnknown()
	n := countField(carried, field)
	if n == 0 {
		return EntriesFromProto(list)
	}
	out := make([]archive.Entry, 0, n+len(list))
	var decoder archive.EntryDecoder
	for len(carried) > 0 {
		number, body, size := protowireField(carried)
		carried = carried[size:]
		if number != field {
			continue
		}
		out = out[:len(out)+1]
		if err := decoder.Decode(body, &out[len(out)-1]); err != nil {
			return nil, malformed("%w", err)
		}
	}
	rest, err := EntriesFromProto(list)
	return append(out, rest...), err
}

// countField returns how often a field of bytes stands in b.
func countField(b []byte, field protowire.Number) (n int) {
	for len(b) > 0 {
		number, _, size := protowireField(b)
		if number == field {
			n++
		}
		b = b[size:]
	}
	return n
}

// protowireField returns the first field of b if it is one of bytes, else number
// 0, and how long it is: all of b if it cannot be read.
func protowireField(b []byte) (number protowire.Number, body []byte, size int) {
	number, kind, n := protowire.ConsumeTag(b)
	if n < 0 {
		return 0, nil, len(b)
	}
	value := protowire.ConsumeFieldValue(number, kind, b[n:])
	if value < 0 {
		return 0, nil, len(b)
	}
	if kind != protowire.BytesType {
		return 0, nil, n + value
	}
	body, _ = protowire.ConsumeBytes(b[n:])
	return number, body, n + value
}

// unmarshalWith decodes parts of a message, and has it carry the first run of
// the field in them as it is: b must stay what it is as long as m is used.
func unmarshalWith(m proto.Message, field protowire.Number, parts ...[]byte) error {
	var carried []byte
	for _, part := range parts {
		before, run, behind := part, []byte(nil), []byte(nil)
		if carried == nil {
			before, run, behind = cutRun(part, field)
		}
		for _, b := range [][]byte{before, behind} {
			if err := (proto.UnmarshalOptions{Merge: true}).Unmarshal(b, m); err != nil {
				return err
			}
		}
		if len(run) > 0 {
			carried = run
		}
	}
	if r := m.ProtoReflect(); len(carried) > 0 {
		r.SetUnknown(append(carried[:len(carried):len(carried)], r.GetUnknown()...))
	}
	return nil
}

// cutRun returns the first run of a field of bytes, and what stands before and behind it.
func cutRun(b []byte, field protowire.Number) (before, run, behind []byte) {
	at := 0
	for at < len(b) {
		number, _, size := protowireField(b[at:])
		if number == field {
			break
		}
		at += size
	}
	end := at
	for end < len(b) {
		number, _, size := protowireField(b[end:])
		if number != field {
			break
		}
		end += size
	}
	return b[:at], b[at:end], b[end:]
}
