package dbdump

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
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

// gather is what a dataWriter sends, by statement.
type gather struct {
	statements [][]byte
	rows       int64
	sum        uint64
}

// write sends rows through a dataWriter.
func write(t testing.TB, kinds []columnKind, in io.Reader) *gather {
	t.Helper()
	g, out, done := &gather{}, make(chan batch), make(chan struct{})
	go func() {
		defer close(done)
		open := false
		for b := range out {
			for _, c := range b.chunks {
				if !open {
					g.statements = append(g.statements, nil)
				}
				last := &g.statements[len(g.statements)-1]
				*last = append(*last, c.data...)
				open = !c.last
				g.rows += c.rows
				g.sum += c.sum
			}
		}
	}()
	tab := &table{info: TableInfo{Name: "t"}}
	for i, k := range kinds {
		tab.columns = append(tab.columns, column{name: fmt.Sprint("c", i), kind: k})
	}
	err := (&partWriter{ctx: context.Background(), out: out}).copyRows(&rawResult{link: &link{in: newPacketReader(in), newEOF: true}, count: len(kinds)}, tab)
	close(out)
	<-done
	if err != nil {
		t.Fatal(err)
	}
	return g
}

var endPacket = []byte{markEOF, 0, 0, 2, 0, 0, 0}

// randomRows are rows as sites have them: numbers, short and some longer texts.
func randomRows(n int) [][]byte {
	r := rand.New(rand.NewPCG(1, 2))
	var rows [][]byte
	for i := range n {
		text := make([]byte, r.IntN(400))
		for j := range text {
			text[j] = byte(' ' + r.IntN(95))
		}
		rows = append(rows, textRow(fmt.Append(nil, i), text))
	}
	return rows
}

// A row that comes or goes changes the statement that it is in, at most its
// neighbours, and no other.
func TestStatementsFollowContent(t *testing.T) {
	kinds := []columnKind{kindNumber, kindText}
	rows := randomRows(60000)
	before := write(t, kinds, bytes.NewReader(packets(append(slices.Clone(rows), endPacket)...)))
	known := map[[32]byte]bool{}
	for _, s := range before.statements {
		known[sha256.Sum256(s)] = true
		if len(s) > 1<<20 {
			t.Errorf("a statement of %d bytes", len(s))
		}
	}
	if len(before.statements) < 12 {
		t.Fatalf("only %d statements", len(before.statements))
	}
	for _, at := range []int{0, 1000, 30000, 59999} {
		changed := slices.Insert(slices.Clone(rows), at, textRow([]byte("77777"), bytes.Repeat([]byte("a new row"), 333)))
		after := write(t, kinds, bytes.NewReader(packets(append(changed, endPacket)...)))
		fresh := 0
		for _, s := range after.statements {
			if !known[sha256.Sum256(s)] {
				fresh++
			}
		}
		if fresh > 3 {
			t.Errorf("a row at %d changed %d of %d statements", at, fresh, len(after.statements))
		}
		if after.rows != 60001 || after.sum == before.sum {
			t.Errorf("%d rows", after.rows)
		}
	}
}

// What the native engine counts and adds up, the tokenizer finds in its text,
// however the text is cut.
func TestChecksumOfStream(t *testing.T) {
	rows := append(randomRows(3000), textRow([]byte("1"), bytes.Repeat([]byte("'),('\\"), 400000)), textRow([]byte("2"), nil))
	g := write(t, []columnKind{kindNumber, kindText}, bytes.NewReader(packets(append(rows, endPacket)...)))
	text := bytes.Join(g.statements, nil)
	for _, r := range []io.Reader{bytes.NewReader(text), iotest.HalfReader(bytes.NewReader(text))} {
		var sum uint64
		var n int64
		err := splitDump(r, func(c chunk, _ *scanner) error {
			sum += c.sum
			n += c.rows
			return nil
		})
		if err != nil || sum != g.sum || n != g.rows || n != 3002 {
			t.Errorf("%d rows with %x, want %d with %x, %v", n, sum, g.rows, g.sum, err)
		}
	}
	if one := checksumText(rowHash(1, 2)); len(one) != 16 {
		t.Error(one)
	}
}

// repeated is a payload of n equal bytes behind a head, without holding it.
type repeated struct {
	head []byte
	n    int
}

func (r *repeated) Read(p []byte) (int, error) {
	if len(r.head) > 0 {
		n := copy(p, r.head)
		r.head = r.head[n:]
		return n, nil
	}
	if r.n == 0 {
		return 0, io.EOF
	}
	n := min(len(p), r.n)
	for i := range p[:n] {
		p[i] = '\''
	}
	r.n -= n
	return n, nil
}

// A row of 100 MB passes in the memory of a few statements.
func TestHugeRowIsNotHeld(t *testing.T) {
	const size = 100 << 20
	var in []io.Reader
	in = append(in, bytes.NewReader(packets(textRow([]byte("1"), []byte("small")))))
	left, head := size, binary.LittleEndian.AppendUint64([]byte{1, '2', 0xfe}, size)
	for first := true; ; first = false {
		room := maxPacket
		if first {
			room -= len(head)
		}
		n := min(left, room)
		packet := n
		if first {
			packet += len(head)
		}
		in = append(in, bytes.NewReader([]byte{byte(packet), byte(packet >> 8), byte(packet >> 16), 0}))
		if first {
			in = append(in, bytes.NewReader(head))
		}
		in = append(in, &repeated{n: n})
		if left -= n; packet < maxPacket {
			break
		}
	}
	in = append(in, bytes.NewReader(packets(textRow([]byte("3"), nil), endPacket)))
	var before, after runtime.MemStats
	out, done := make(chan batch), make(chan struct{})
	free := make(chan []byte, 4)
	bytesOut, statements, rows := 0, 0, int64(0)
	go func() {
		defer close(done)
		for b := range out {
			c := b.chunks[0]
			bytesOut += len(c.data)
			rows += c.rows
			if c.last {
				statements++
			}
			select {
			case free <- b.buf:
			default:
			}
		}
	}()
	tab := &table{info: TableInfo{Name: "t"}, columns: []column{{name: "a", kind: kindNumber}, {name: "b"}}}
	runtime.ReadMemStats(&before)
	err := (&partWriter{ctx: context.Background(), out: out, free: free}).copyRows(&rawResult{link: &link{in: newPacketReader(io.MultiReader(in...)), newEOF: true}, count: 2}, tab)
	runtime.ReadMemStats(&after)
	close(out)
	<-done
	if err != nil || statements != 3 || rows != 3 || bytesOut < 2*size {
		t.Errorf("%d statements, %d rows, %d bytes: %v", statements, rows, bytesOut, err)
	}
	if grown := after.TotalAlloc - before.TotalAlloc; grown > 16<<20 {
		t.Errorf("%d MiB were allocated for it", grown>>20)
	}
}

// A connection that ends within a packet, wherever, is no end of the rows.
func TestPacketsCut(t *testing.T) {
	whole := packets(textRow([]byte("1")), textRow(bytes.Repeat([]byte("x"), windowSize+10)), endPacket)
	for _, n := range []int{0, 1, 3, 4, 5, 6, 9, 10, 1000, windowSize, len(whole) - 12, len(whole) - 11, len(whole) - 8, len(whole) - 1} {
		out := make(chan batch, 10)
		tab := &table{info: TableInfo{Name: "t"}, columns: []column{{name: "a"}}}
		err := (&partWriter{ctx: context.Background(), out: out}).copyRows(&rawResult{link: &link{in: newPacketReader(bytes.NewReader(whole[:n])), newEOF: true}, count: 1}, tab)
		if !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("cut at %d of %d: %v", n, len(whole), err)
		}
	}
}

func TestSuspectsFindAllSpecials(t *testing.T) {
	for c := range 256 {
		for at := range 16 {
			s := bytes.Repeat([]byte("a"), 16)
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
		}
	}
}

// Every value of the key is in exactly one range.
func TestKeyRangesCoverAll(t *testing.T) {
	for _, tt := range [][3]int64{
		{1, 1000, 4}, {0, 0, 2}, {-500, 500, 3}, {math.MinInt64, math.MaxInt64, 7}, {math.MaxInt64 - 5, math.MaxInt64, 2}, {5, 6, 100}, {1, 1 << 40, 50},
	} {
		ranges := keyRanges("k`", tt[0], tt[1], tt[2])
		if len(ranges) > int(4*tt[2])+2 {
			t.Errorf("%v: %d ranges", tt, len(ranges))
		}
		var last *int64
		for i, r := range ranges {
			var from, to int64
			switch n, _ := fmt.Sscanf(strings.ReplaceAll(r, "`k```", "k"), "k >= %d AND k < %d", &from, &to); {
			case i == 0 && len(ranges) == 1:
				if r != "" {
					t.Errorf("%v: %q", tt, r)
				}
			case i == 0:
				if _, err := fmt.Sscanf(strings.ReplaceAll(r, "`k```", "k"), "k < %d", &to); err != nil {
					t.Errorf("%v: %q", tt, r)
				}
				last = &to
			case n < 1 || from != *last || n == 1 != (i == len(ranges)-1) || n == 2 && to <= from:
				t.Errorf("%v: range %d is %q behind %d", tt, i, r, *last)
			default:
				last = &to
			}
		}
	}
	if diff := cmp.Diff([]string{"`a` < 512", "`a` >= 512"}, keyRanges("a", 1, 1000, 3)); diff != "" {
		t.Error(diff)
	}
	if !slices.Equal(keyRanges("a", 1, 1000, 3), keyRanges("a", 7, 1010, 3)) {
		t.Error("the ranges move with the rows")
	}
}

func TestVersionedDefinitions(t *testing.T) {
	view := versionedView("CREATE ALGORITHM=MERGE DEFINER=`a VIEW`@`%` SQL SECURITY DEFINER VIEW `v` AS select 'VIEW' WITH LOCAL CHECK OPTION")
	want := "/*!50001 CREATE ALGORITHM=MERGE */\n/*!50013 DEFINER=`a VIEW`@`%` SQL SECURITY DEFINER */\n/*!50001 VIEW `v` AS select 'VIEW' */\n/*!50002 WITH LOCAL CHECK OPTION */"
	if view != want {
		t.Error(view)
	}
	o := stored{create: "CREATE DEFINER=\"a\"@\"b\" TRIGGER \"t\" BEFORE INSERT ON \"x\" FOR EACH ROW SET @a='DEFINER=`c`@`d` '", sqlMode: "ANSI_QUOTES"}
	want = "/*!50003 CREATE*/ /*!50017 DEFINER=\"a\"@\"b\"*/ /*!50003 TRIGGER \"t\" BEFORE INSERT ON \"x\" FOR EACH ROW SET @a='DEFINER=`c`@`d` ' \n*/"
	if got := o.versioned("50003", "50017"); got != want {
		t.Error(got)
	}
	if got := (stored{create: "CREATE EVENT e DO SELECT 1"}).versioned("50106", "50117"); got != "/*!50106 CREATE EVENT e DO SELECT 1 \n*/" {
		t.Error(got)
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
