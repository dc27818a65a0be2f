package archive

import (
	"fmt"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
)

// An index of a million entries is read twice and written once in a backup, and
// crosses the wire. Through generated messages that is a dozen allocations for
// each entry; here it is one for its path. What is written is byte for byte what
// protobuf's deterministic encoding of archivev1.Entry is.

// The fields of an Entry message in archive.proto.
const (
	fieldPath protowire.Number = iota + 1
	fieldSitePath
	fieldType
	fieldMode
	fieldUID
	fieldGID
	fieldUname
	fieldGname
	fieldSize
	fieldModSeconds
	fieldModNanos
	fieldChangeSeconds
	fieldChangeNanos
	fieldInode
	fieldDevice
	fieldLinkTarget
	fieldXattrs
	fieldContentHash
	fieldOffset
	fieldSparse
	fieldSpan
)

// The fields of an Xattr message.
const (
	fieldXattrName protowire.Number = iota + 1
	fieldXattrValue
)

// AppendEntry appends e as the index and the wire have it: an archivev1.Entry.
// Frame is not in it.
func AppendEntry(b []byte, e *Entry) []byte {
	b = appendText(b, fieldPath, e.Path)
	b = appendText(b, fieldSitePath, e.SitePath)
	b = appendNumber(b, fieldType, uint64(e.Type))
	b = appendNumber(b, fieldMode, uint64(e.Mode))
	b = appendNumber(b, fieldUID, uint64(e.UID))
	b = appendNumber(b, fieldGID, uint64(e.GID))
	b = appendText(b, fieldUname, e.Uname)
	b = appendText(b, fieldGname, e.Gname)
	b = appendNumber(b, fieldSize, uint64(e.Size))
	b = appendTime(b, fieldModSeconds, e.ModTime.Unix(), uint32(e.ModTime.Nanosecond()))
	seconds, nanos := splitTime(e.ChangeTime)
	b = appendTime(b, fieldChangeSeconds, seconds, nanos)
	b = appendNumber(b, fieldInode, e.Inode)
	b = appendNumber(b, fieldDevice, e.Device)
	b = appendText(b, fieldLinkTarget, e.LinkTarget)
	for i := range e.Xattrs {
		b = appendXattr(b, &e.Xattrs[i])
	}
	if !e.ContentHash.IsZero() {
		b = protowire.AppendTag(b, fieldContentHash, protowire.BytesType)
		b = protowire.AppendBytes(b, e.ContentHash[:])
	}
	b = appendNumber(b, fieldOffset, uint64(e.Offset))
	b = appendNumber(b, fieldSparse, protowire.EncodeBool(e.Sparse))
	return appendNumber(b, fieldSpan, e.Span)
}

// appendText appends a field of bytes, which is left out if there are none.
func appendText(b []byte, field protowire.Number, s string) []byte {
	if s == "" {
		return b
	}
	return protowire.AppendString(protowire.AppendTag(b, field, protowire.BytesType), s)
}

// appendNumber appends a number, which is left out if it is 0.
func appendNumber(b []byte, field protowire.Number, v uint64) []byte {
	if v == 0 {
		return b
	}
	return protowire.AppendVarint(protowire.AppendTag(b, field, protowire.VarintType), v)
}

// appendTime appends a time as two fields that follow each other.
func appendTime(b []byte, field protowire.Number, seconds int64, nanos uint32) []byte {
	return appendNumber(appendNumber(b, field, protowire.EncodeZigZag(seconds)), field+1, uint64(nanos))
}

func appendXattr(b []byte, x *Xattr) []byte {
	size := sizeText(fieldXattrName, x.Name) + sizeText(fieldXattrValue, x.Value)
	b = protowire.AppendVarint(protowire.AppendTag(b, fieldXattrs, protowire.BytesType), uint64(size))
	return appendText(appendText(b, fieldXattrName, x.Name), fieldXattrValue, x.Value)
}

func sizeText(field protowire.Number, s string) int {
	if s == "" {
		return 0
	}
	return protowire.SizeTag(field) + protowire.SizeBytes(len(s))
}

// EntryDecoder decodes entries one after the other. It remembers the last owner,
// who is mostly the next one's too. The zero value is ready to use.
type EntryDecoder struct{ uname, gname string }

// Decode sets e to what [AppendEntry] or protobuf has written, whatever it was
// before, and keeps no reference to b. It fails if a field cannot be. Fields that
// it does not know are ignored.
func (d *EntryDecoder) Decode(b []byte, e *Entry) error {
	*e = Entry{}
	var changed, modified timeParts
	for len(b) > 0 {
		field, kind, n := protowire.ConsumeTag(b)
		if n < 0 {
			return fmt.Errorf("entry %q: %w", e.Path, protowire.ParseError(n))
		}
		size := protowire.ConsumeFieldValue(field, kind, b[n:])
		if size < 0 {
			return fmt.Errorf("entry %q: field %d: %w", e.Path, field, protowire.ParseError(size))
		}
		value := b[n : n+size]
		b = b[n+size:]
		switch kind {
		case protowire.BytesType:
			text, _ := protowire.ConsumeBytes(value)
			if err := d.text(e, field, text); err != nil {
				return fmt.Errorf("entry %q: %w", e.Path, err)
			}
		case protowire.VarintType:
			number, _ := protowire.ConsumeVarint(value)
			if !modified.set(field-fieldModSeconds, number) && !changed.set(field-fieldChangeSeconds, number) {
				e.number(field, number)
			}
		}
	}
	e.ModTime = time.Unix(modified.seconds, modified.nanos).UTC()
	e.ChangeTime = joinTime(changed.seconds, uint32(changed.nanos))
	return e.check()
}

// timeParts are the two fields of a time.
type timeParts struct{ seconds, nanos int64 }

// set takes the first or the second of them; it reports false for any other field.
func (t *timeParts) set(part protowire.Number, v uint64) bool {
	switch part {
	case 0:
		t.seconds = protowire.DecodeZigZag(v)
	case 1:
		t.nanos = int64(uint32(v))
	default:
		return false
	}
	return true
}

// text sets a field of bytes.
func (d *EntryDecoder) text(e *Entry, field protowire.Number, b []byte) error {
	switch field {
	case fieldPath:
		e.Path = string(b)
	case fieldSitePath:
		e.SitePath = string(b)
	case fieldUname:
		e.Uname = again(&d.uname, b)
	case fieldGname:
		e.Gname = again(&d.gname, b)
	case fieldLinkTarget:
		e.LinkTarget = string(b)
	case fieldXattrs:
		return e.xattr(b)
	case fieldContentHash:
		e.ContentHash = Hash{}
		if err := setHash(&e.ContentHash, b, true); err != nil {
			return fmt.Errorf("content hash: %w", err)
		}
	}
	return nil
}

// again returns b as a string: last, if that is the same.
func again(last *string, b []byte) string {
	if string(b) != *last {
		*last = string(b)
	}
	return *last
}

// number sets a field that is a number.
func (e *Entry) number(field protowire.Number, v uint64) {
	switch field {
	case fieldType:
		e.Type = EntryType(v)
	case fieldMode:
		e.Mode = uint32(v)
	case fieldUID:
		e.UID = uint32(v)
	case fieldGID:
		e.GID = uint32(v)
	case fieldSize:
		e.Size = int64(v)
	case fieldInode:
		e.Inode = v
	case fieldDevice:
		e.Device = v
	case fieldOffset:
		e.Offset = int64(v)
	case fieldSparse:
		e.Sparse = protowire.DecodeBool(v)
	case fieldSpan:
		e.Span = v
	}
}

// xattr adds an attribute.
func (e *Entry) xattr(b []byte) error {
	var x Xattr
	for len(b) > 0 {
		field, kind, n := protowire.ConsumeTag(b)
		if n < 0 {
			return fmt.Errorf("attribute: %w", protowire.ParseError(n))
		}
		size := protowire.ConsumeFieldValue(field, kind, b[n:])
		if size < 0 {
			return fmt.Errorf("attribute: %w", protowire.ParseError(size))
		}
		value, _ := protowire.ConsumeBytes(b[n : n+size])
		switch {
		case kind != protowire.BytesType:
		case field == fieldXattrName:
			x.Name = string(value)
		case field == fieldXattrValue:
			x.Value = string(value)
		}
		b = b[n+size:]
	}
	e.Xattrs = append(e.Xattrs, x)
	return nil
}
