package intake

import (
	"bufio"
	"bytes"
	"cmp"
	"container/heap"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"

	"google.golang.org/protobuf/proto"

	"github.com/sitekeep/sitekeep/pkg/archive"
	archivev1 "github.com/sitekeep/sitekeep/proto/sitekeep/archive/v1"
)

// record is an entry of the tarball. Path and LinkTarget are names in the site.
type record struct {
	entry  archive.Entry
	number int64 // in the order of the tarball
	at     int64 // of its content in the spool
}

// weight is about how much memory a record takes, in bytes.
func (r *record) weight() int {
	w := 400 + len(r.entry.Path) + len(r.entry.LinkTarget)
	for _, x := range r.entry.Xattrs {
		w += 32 + len(x.Name) + len(x.Value)
	}
	return w
}

// before is the order of our tarballs, and of several records of one name that of the foreign one.
func (r *record) before(o *record) int {
	return cmp.Or(archive.ComparePaths(r.entry.Path, o.entry.Path), cmp.Compare(r.number, o.number))
}

// heldMost is how much memory a sorter takes for records, in bytes.
const heldMost = 32 << 20

// sorter puts records in order. What does not fit into memory lies in a spool, in runs that are sorted each.
type sorter struct {
	spool *spool
	most  int
	held  []record
	bytes int
	runs  []section
}

// section is a part of a file.
type section struct{ at, size int64 }

func (j *job) newSorter(ctx context.Context) (*sorter, error) {
	s, err := j.newSpool(ctx)
	return &sorter{spool: s, most: heldMost}, err
}

func (s *sorter) add(r record) error {
	s.held = append(s.held, r)
	s.bytes += r.weight()
	if s.bytes < s.most {
		return nil
	}
	return s.flush()
}

// flush writes what is held as a run.
func (s *sorter) flush() error {
	s.sort()
	run := section{at: s.spool.size}
	w := bufio.NewWriterSize(s.spool, 256<<10)
	for i := range s.held {
		if err := writeRecord(w, &s.held[i]); err != nil {
			return err
		}
	}
	if err := w.Flush(); err != nil {
		return err
	}
	run.size = s.spool.size - run.at
	s.runs = append(s.runs, run)
	clear(s.held)
	s.held, s.bytes = s.held[:0], 0
	return nil
}

func (s *sorter) sort() {
	slices.SortFunc(s.held, func(a, b record) int { return a.before(&b) })
}

// all yields the records in order. It may be asked again, and after more were added.
func (s *sorter) all() iter.Seq2[record, error] {
	return func(yield func(record, error) bool) {
		s.sort()
		m := &merge{}
		for _, run := range s.runs {
			m.sources = append(m.sources, &runReader{in: bufio.NewReaderSize(io.NewSectionReader(s.spool.file, run.at, run.size), 32<<10)})
		}
		m.sources = append(m.sources, &runReader{held: s.held})
		if err := m.begin(); err != nil {
			yield(record{}, err)
			return
		}
		for m.Len() > 0 {
			if r := m.sources[0].next; !yield(r, nil) {
				return
			}
			if err := m.advance(); err != nil {
				yield(record{}, err)
				return
			}
		}
	}
}

// last yields, of several records of one name, the last one, as tar would leave it; twice is told of the others' names.
func (s *sorter) last(twice func(record)) iter.Seq2[record, error] {
	return func(yield func(record, error) bool) {
		var was *record
		for r, err := range s.all() {
			if err != nil {
				yield(record{}, err)
				return
			}
			switch {
			case was == nil:
			case was.entry.Path == r.entry.Path:
				twice(r)
			case !yield(*was, nil):
				return
			}
			was = &r
		}
		if was != nil {
			yield(*was, nil)
		}
	}
}

// runReader reads one run.
type runReader struct {
	in   *bufio.Reader
	held []record // instead of in
	next record
}

// advance reads the next record, or io.EOF.
func (r *runReader) advance() (err error) {
	if r.in != nil {
		r.next, err = readRecord(r.in)
		return err
	}
	if len(r.held) == 0 {
		return io.EOF
	}
	r.next, r.held = r.held[0], r.held[1:]
	return nil
}

// merge is a heap of runs by their next records.
type merge struct{ sources []*runReader }

// Len, Less, Swap, Push and Pop implement heap.Interface.
func (m *merge) Len() int           { return len(m.sources) }
func (m *merge) Less(a, b int) bool { return m.sources[a].next.before(&m.sources[b].next) < 0 }
func (m *merge) Swap(a, b int)      { m.sources[a], m.sources[b] = m.sources[b], m.sources[a] }
func (m *merge) Push(x any)         { m.sources = append(m.sources, x.(*runReader)) }

// Pop implements heap.Interface.
func (m *merge) Pop() any {
	x := m.sources[len(m.sources)-1]
	m.sources = m.sources[:len(m.sources)-1]
	return x
}

func (m *merge) begin() error {
	all := m.sources
	m.sources = nil
	for _, s := range all {
		err := s.advance()
		if err == nil {
			m.sources = append(m.sources, s)
		} else if !errors.Is(err, io.EOF) {
			return err
		}
	}
	heap.Init(m)
	return nil
}

func (m *merge) advance() error {
	err := m.sources[0].advance()
	switch {
	case err == nil:
		heap.Fix(m, 0)
	case errors.Is(err, io.EOF):
		heap.Pop(m)
	default:
		return err
	}
	return nil
}

// writeRecord writes number, place of the content, and the entry with its length before it.
func writeRecord(w io.Writer, r *record) error {
	data, err := proto.Marshal(archive.EntryToProto(&r.entry))
	if err != nil {
		return fmt.Errorf("note %q: %w", r.entry.Path, err)
	}
	head := binary.AppendUvarint(nil, uint64(r.number))
	head = binary.AppendUvarint(head, uint64(r.at))
	head = binary.AppendUvarint(head, uint64(len(data)))
	_, err = io.Copy(w, io.MultiReader(bytes.NewReader(head), bytes.NewReader(data)))
	return err
}

// readRecord reads what writeRecord writes; io.EOF if there is nothing more.
func readRecord(r *bufio.Reader) (record, error) {
	var numbers [3]uint64
	for i := range numbers {
		n, err := binary.ReadUvarint(r)
		if err != nil {
			return record{}, err
		}
		numbers[i] = n
	}
	data := make([]byte, numbers[2])
	if _, err := io.ReadFull(r, data); err != nil {
		return record{}, fmt.Errorf("read the notes of the tarball: %w", err)
	}
	var p archivev1.Entry
	if err := proto.Unmarshal(data, &p); err != nil {
		return record{}, fmt.Errorf("read the notes of the tarball: %w", err)
	}
	e, err := archive.EntryFromProto(&p)
	return record{entry: e, number: int64(numbers[0]), at: int64(numbers[1])}, err
}
