package dbdump

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
)

// textRow encodes values as the text protocol does; nil is NULL.
func textRow(values ...[]byte) []byte {
	var row []byte
	for _, v := range values {
		switch n := len(v); {
		case v == nil:
			row = append(row, markNull)
			continue
		case n < 251:
			row = append(row, byte(n))
		case n < 1<<16:
			row = append(row, 0xfc, byte(n), byte(n>>8))
		case n < 1<<24:
			row = append(row, 0xfd, byte(n), byte(n>>8), byte(n>>16))
		default:
			row = binary.LittleEndian.AppendUint64(append(row, 0xfe), uint64(n))
		}
		row = append(row, v...)
	}
	return row
}

// packets frames payloads as a server does.
func packets(payloads ...[]byte) []byte {
	var out []byte
	for i, p := range payloads {
		for {
			n := min(len(p), maxPacket)
			out = append(out, byte(n), byte(n>>8), byte(n>>16), byte(i))
			out = append(out, p[:n]...)
			if p = p[n:]; n < maxPacket {
				break
			}
		}
	}
	return out
}

func TestAppendRow(t *testing.T) {
	tests := []struct {
		kind  columnKind
		value []byte
		want  string
	}{
		{kindText, nil, "(NULL)"},
		{kindText, []byte(""), "('')"},
		{kindText, []byte("a'b\"c\\d\x00\n\r\x1a\t`%_é"), `('a\'b\"c\\d\0\n\r\Z` + "\t`%_é')"},
		{kindText, []byte("NULL"), "('NULL')"},
		{kindText, []byte("12345678'"), `('12345678\'')`},
		{kindNumber, []byte("-12.50"), "(-12.50)"},
		{kindNumber, []byte("0000"), "(0000)"},
		{kindNumber, []byte("1.5e-38"), "(1.5e-38)"},
		{kindNumber, []byte("nan"), "(NULL)"},
		{kindNumber, []byte("-inf"), "(NULL)"},
		{kindNumber, nil, "(NULL)"},
		{kindBinary, []byte{}, "('')"},
		{kindBinary, []byte{0, 0x27, 0xff}, "(0x0027FF)"},
	}
	for _, tt := range tests {
		got, err := appendRow(nil, textRow(tt.value), []columnKind{tt.kind})
		if err != nil || string(got) != tt.want {
			t.Errorf("%q: %s, %v; want %s", tt.value, got, err, tt.want)
		}
	}
}

// A row that does not hold what it says is an error, never a panic or a wrong row.
func TestAppendRowMalformed(t *testing.T) {
	whole := textRow([]byte("abc"), []byte(strings.Repeat("x", 300)))
	kinds := []columnKind{kindText, kindBinary}
	for n := range len(whole) {
		if _, err := appendRow(nil, whole[:n], kinds); !errors.Is(err, errMalformed) {
			t.Fatalf("cut at %d: %v", n, err)
		}
	}
	for _, row := range [][]byte{append(slices.Clone(whole), 1), {0xff}, {0xfe, 255, 255, 255, 255, 255, 255, 255, 255}} {
		if _, err := appendRow(nil, row, kinds); !errors.Is(err, errMalformed) {
			t.Errorf("%v: %v", row[:1], err)
		}
	}
}

// unescape reads a value of VALUES back, as the server would.
func unescape(t testing.TB, lit string) []byte {
	t.Helper()
	if lit == "NULL" {
		return nil
	}
	if hex, ok := strings.CutPrefix(lit, "0x"); ok {
		b := make([]byte, len(hex)/2)
		if _, err := fmt.Sscanf(hex, "%X", &b); err != nil {
			t.Fatal(err)
		}
		return b
	}
	lit = strings.TrimPrefix(lit, "_binary ")
	if !strings.HasPrefix(lit, "'") || !strings.HasSuffix(lit, "'") {
		return []byte(lit)
	}
	b := []byte{}
	for s := lit[1 : len(lit)-1]; s != ""; s = s[1:] {
		if s[0] == '\\' {
			s = s[1:]
			if i := strings.IndexByte("0nrZ", s[0]); i >= 0 {
				b = append(b, "\x00\n\r\x1a"[i])
				continue
			}
		}
		b = append(b, s[0])
	}
	return b
}

// valuesOf cuts (v,v,...) of a statement into its values with the tokenizer.
func valuesOf(t testing.TB, row string) []string {
	t.Helper()
	var list []string
	stmt := []byte(row)
	ts := (&scanner{}).tokens(stmt)
	from := 1
	for tok, ok := ts.next(); ok; tok, ok = ts.next() {
		if tok.isByte(stmt, ',') || tok.isByte(stmt, ')') {
			list = append(list, row[from:tok.start])
			from = tok.end
		}
	}
	if from != len(row) {
		t.Fatalf("%q does not end with its parenthesis", row)
	}
	return list
}

// What the encoder writes, the tokenizer and the rules of the server read back.
func FuzzRow(f *testing.F) {
	f.Add([]byte("a'b\\"), []byte("\x00\xff"), []byte("),('"), false)
	f.Add([]byte("\\'; -- */"), []byte{}, []byte("\n\r\x1a\"`"), true)
	f.Fuzz(func(t *testing.T, a, b, c []byte, null bool) {
		if null {
			a = nil
		} else if a == nil {
			a = []byte{}
		}
		b, c = append([]byte{}, b...), append([]byte{}, c...)
		row, kinds := textRow(a, b, []byte("-1.5"), c), []columnKind{kindText, kindBinary, kindNumber, kindText}
		small, err := appendRow(nil, row, kinds)
		if err != nil {
			t.Fatal(err)
		}
		var large bytes.Buffer
		e := largeEncoder{in: &bytesPayload{row}, emit: func(p []byte) error { large.Write(p); return nil }}
		if err := e.encode(kinds); err != nil {
			t.Fatal(err)
		}
		for _, text := range []string{string(small), large.String()} {
			got := valuesOf(t, text)
			if len(got) != 4 {
				t.Fatalf("%q has %d values", text, len(got))
			}
			for i, want := range [][]byte{a, b, []byte("-1.5"), c} {
				if back := unescape(t, got[i]); !bytes.Equal(back, want) || (back == nil) != (want == nil) {
					t.Errorf("value %d of %q is %q, want %q", i, text, back, want)
				}
			}
		}
		if _, err := appendRow(nil, c, kinds); err == nil && len(c) < 4 {
			t.Error("garbage was taken for a row")
		}
	})
}

var endPacket = []byte{markEOF, 0, 0, 2, 0, 0, 0}

// A connection that ends within a packet, wherever, is no end of the rows.
func TestPacketsCut(t *testing.T) {
	whole := packets(textRow([]byte("1")), textRow(bytes.Repeat([]byte("x"), windowSize+10)), endPacket)
	for _, n := range []int{0, 1, 3, 4, 5, 6, 9, 10, 1000, windowSize, len(whole) - 12, len(whole) - 11, len(whole) - 8, len(whole) - 1} {
		out := make(chan batch, 10)
		tab := &table{info: TableInfo{Name: "t"}, columns: []column{{name: "a"}}}
		err := newPartWriter(out, &freeBuffers{}).copyRows(&rawResult{link: &link{in: newPacketReader(bytes.NewReader(whole[:n])), newEOF: true}, count: 1}, tab)
		if !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("cut at %d of %d: %v", n, len(whole), err)
		}
	}
}

// Every byte, at every place in a word and behind the last one, beside plain
// bytes and beside others that grow.
func TestEscapedAtEveryPlace(t *testing.T) {
	for c := range 256 {
		for at := range 19 {
			s := bytes.Repeat([]byte("a"), 19)
			s[at] = byte(c)
			want := string(s)
			for _, p := range []string{"\\", "'", "\"", "\x00", "\n", "\r", "\x1a"} {
				if p == string(rune(c)) {
					want = QuoteString(string(s))
					want = want[1 : len(want)-1]
				}
			}
			if got := string(appendEscaped(nil, s)); got != want {
				t.Fatalf("byte %#x at %d: %q, want %q", c, at, got, want)
			}
			quotes := append(bytes.Repeat([]byte{'"'}, 5), s...)
			if got := string(appendEscaped([]byte("x"), quotes)); got != "x"+strings.Repeat(`\"`, 5)+want {
				t.Fatalf("byte %#x at %d behind quotes: %q", c, at, got)
			}
		}
	}
}

// The buffer that came last goes first, and no more are kept than were asked for.
func TestFreeBuffers(t *testing.T) {
	f := &freeBuffers{most: 2}
	for _, text := range []string{"first", "second", "third"} {
		f.put([]byte(text))
	}
	for _, want := range []string{"second", "first"} {
		if b := f.get(); len(b) != 0 || string(b[:len(want)]) != want {
			t.Errorf("got %q, want the buffer of %q", b[:cap(b)], want)
		}
	}
	if b := f.get(); cap(b) != blockSize {
		t.Errorf("a new buffer has room for %d bytes", cap(b))
	}
}

func BenchmarkAppendRow(b *testing.B) {
	text := []byte(strings.Repeat("The quick brown fox isn't \"lazy\", says the dog who sleeps.\n", 20))
	row, kinds := textRow([]byte("123456"), text, []byte("2026-01-01 00:00:00")), []columnKind{kindNumber, kindText, kindText}
	b.SetBytes(int64(len(row)))
	buf := make([]byte, 0, 2*len(row))
	for b.Loop() {
		if _, err := appendRow(buf, row, kinds); err != nil {
			b.Fatal(err)
		}
	}
}
