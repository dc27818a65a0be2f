package dbdump

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"
	"testing/iotest"
)

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
	err := newPartWriter(out, &freeBuffers{}).copyRows(&rawResult{link: &link{in: newPacketReader(in), newEOF: true}, count: len(kinds)}, tab)
	close(out)
	<-done
	if err != nil {
		t.Fatal(err)
	}
	return g
}

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
	free := &freeBuffers{most: 4}
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
			free.put(b.buf)
		}
	}()
	tab := &table{info: TableInfo{Name: "t"}, columns: []column{{name: "a", kind: kindNumber}, {name: "b"}}}
	runtime.ReadMemStats(&before)
	err := newPartWriter(out, free).copyRows(&rawResult{link: &link{in: newPacketReader(io.MultiReader(in...)), newEOF: true}, count: 2}, tab)
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

// A part that ends gives back the buffer that it has begun to fill: else each would leave one to the garbage collector, and
// a dump of many parts would take more memory than one of few.
func TestAPartGivesItsBufferBack(t *testing.T) {
	rows := packets(textRow([]byte("1")), textRow([]byte("2")), endPacket)
	free, out := &freeBuffers{most: 8}, make(chan batch, 8)
	tab := &table{info: TableInfo{Name: "t"}, columns: []column{{name: "id", kind: kindNumber}}}
	for range 3 {
		w := newPartWriter(out, free)
		if err := w.copyRows(&rawResult{link: &link{in: newPacketReader(bytes.NewReader(rows)), newEOF: true}, count: 1}, tab); err != nil {
			t.Fatal(err)
		}
		free.put((<-out).buf)
		if len(free.list) != 2 {
			t.Fatalf("%d buffers are free, want that of the statement and that of the next", len(free.list))
		}
	}
}
