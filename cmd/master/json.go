package main

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"sort"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf16"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// The commands' JSON is protobuf's mapping (https://protobuf.dev/programming-guides/json/) with these differences, for
// the sake of shell scripts: fields have the names of the .proto files and are always there, 64-bit integers are
// numbers, and values of enums are in lower case without the enum's name in front.

// writeJSON writes one message as an indented object and a line's end.
func writeJSON(w io.Writer, m proto.Message) error {
	text, err := indented(m, "")
	if err != nil {
		return err
	}
	_, err = w.Write(append(text, '\n'))
	return err
}

func indented(m proto.Message, prefix string) ([]byte, error) {
	var out bytes.Buffer
	if err := json.Indent(&out, appendMessage(nil, m.ProtoReflect()), prefix, "  "); err != nil {
		return nil, fmt.Errorf("render %s as JSON: %w", m.ProtoReflect().Descriptor().FullName(), err)
	}
	return out.Bytes(), nil
}

// jsonArray writes messages as one JSON array, each as it comes.
type jsonArray struct {
	w     io.Writer
	begun bool
}

func (a *jsonArray) add(m proto.Message) error {
	text, err := indented(m, "  ")
	if err != nil {
		return err
	}
	lead := "[\n  "
	if a.begun {
		lead = ",\n  "
	}
	a.begun = true
	_, err = a.w.Write(append([]byte(lead), text...))
	return err
}

// close ends the array; an array without elements is [].
func (a *jsonArray) close() error {
	end := "[]\n"
	if a.begun {
		end = "\n]\n"
	}
	_, err := io.WriteString(a.w, end)
	return err
}

func appendMessage(b []byte, m protoreflect.Message) []byte {
	if !m.IsValid() {
		return append(b, "null"...)
	}
	switch known := m.Interface().(type) {
	case *timestamppb.Timestamp:
		return strconv.AppendQuote(b, known.AsTime().Format(time.RFC3339Nano))
	case *durationpb.Duration:
		seconds := strconv.FormatFloat(known.AsDuration().Seconds(), 'f', -1, 64)
		return strconv.AppendQuote(b, seconds+"s")
	}
	b = append(b, '{')
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		if i > 0 {
			b = append(b, ',')
		}
		field := fields.Get(i)
		b = append(appendString(b, string(field.Name())), ':')
		b = appendField(b, m, field)
	}
	return append(b, '}')
}

func appendField(b []byte, m protoreflect.Message, field protoreflect.FieldDescriptor) []byte {
	switch {
	case field.IsMap():
		return appendMap(b, m.Get(field).Map(), field.MapValue())
	case field.IsList():
		list := m.Get(field).List()
		b = append(b, '[')
		for i := range list.Len() {
			if i > 0 {
				b = append(b, ',')
			}
			b = appendValue(b, list.Get(i), field)
		}
		return append(b, ']')
	case field.HasPresence() && !m.Has(field):
		return append(b, "null"...)
	}
	return appendValue(b, m.Get(field), field)
}

func appendMap(b []byte, m protoreflect.Map, value protoreflect.FieldDescriptor) []byte {
	keys := make([]protoreflect.MapKey, 0, m.Len())
	m.Range(func(key protoreflect.MapKey, _ protoreflect.Value) bool {
		keys = append(keys, key)
		return true
	})
	sort.Slice(keys, func(i, j int) bool { return keys[i].String() < keys[j].String() })
	b = append(b, '{')
	for i, key := range keys {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(appendString(b, key.String()), ':')
		b = appendValue(b, m.Get(key), value)
	}
	return append(b, '}')
}

func appendValue(b []byte, v protoreflect.Value, field protoreflect.FieldDescriptor) []byte {
	switch field.Kind() {
	case protoreflect.MessageKind, protoreflect.GroupKind:
		return appendMessage(b, v.Message())
	case protoreflect.EnumKind:
		return appendEnum(b, v.Enum(), field.Enum())
	case protoreflect.BytesKind:
		return append(append(append(b, '"'), base64.StdEncoding.EncodeToString(v.Bytes())...), '"')
	case protoreflect.StringKind:
		return appendString(b, v.String())
	case protoreflect.FloatKind, protoreflect.DoubleKind:
		return appendFloat(b, v.Float())
	}
	return append(b, v.String()...) // bool and integers
}

func appendFloat(b []byte, f float64) []byte {
	if text, err := json.Marshal(f); err == nil {
		return append(b, text...)
	}
	return strconv.AppendQuote(b, strconv.FormatFloat(f, 'g', -1, 64)) // NaN, +Inf, -Inf
}

func appendEnum(b []byte, n protoreflect.EnumNumber, enum protoreflect.EnumDescriptor) []byte {
	value := enum.Values().ByNumber(n)
	if value == nil {
		return strconv.AppendInt(b, int64(n), 10)
	}
	return appendString(b, enumText(enum, value))
}

// enumText gives TASK_STATE_NEEDS_OPERATOR of the enum TaskState as needs_operator.
func enumText(enum protoreflect.EnumDescriptor, value protoreflect.EnumValueDescriptor) string {
	var prefix strings.Builder
	for i, r := range string(enum.Name()) {
		if unicode.IsUpper(r) && i > 0 {
			prefix.WriteByte('_')
		}
		prefix.WriteRune(unicode.ToUpper(r))
	}
	return strings.ToLower(strings.TrimPrefix(string(value.Name()), prefix.String()+"_"))
}

// appendString quotes text so that it holds nothing that a terminal would obey.
func appendString(b []byte, text string) []byte {
	b = append(b, '"')
	for _, r := range text {
		switch {
		case r == '"' || r == '\\':
			b = append(b, '\\', byte(r))
		case !hostile(r):
			b = append(b, string(r)...)
		case r > 0xffff:
			high, low := utf16.EncodeRune(r)
			b = fmt.Appendf(b, `\u%04x\u%04x`, high, low)
		default:
			b = fmt.Appendf(b, `\u%04x`, r)
		}
	}
	return append(b, '"')
}
