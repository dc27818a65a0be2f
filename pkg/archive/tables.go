package archive

import (
	"context"
	"errors"
	"fmt"
	"io"
)

// Table is an object that the dump makes, with the sections that make it.
type Table struct {
	// Name of a table, view or sequence, any bytes; empty for routines and events.
	Name string
	// Kind is SectionTable, SectionView, SectionSequence, SectionRoutine or SectionEvent.
	Kind SectionKind
	Rows int64
	// Bytes of SQL, and how many they are in the tarball. What shares a frame has a part of it.
	Bytes, Packed int64
	// Sections are those of the table, in the order of the dump.
	Sections []Section
}

// objectKind says what a section belongs to, or nothing: head, tail and words of later versions.
func objectKind(kind SectionKind) SectionKind {
	switch kind {
	case SectionTable, SectionData, SectionTrigger:
		return SectionTable
	case SectionView, SectionSequence, SectionRoutine, SectionEvent:
		return kind
	}
	return ""
}

type objectKey struct {
	kind SectionKind
	name string
}

// Tables returns what the dump makes, in its order. It holds the list of sections, which grows with the number of
// tables and not with their size; it decompresses nothing.
func (r *Reader) Tables(ctx context.Context) ([]Table, error) {
	var tables []Table
	at := map[objectKey]int{}
	packed := newPackedSizes(r)
	defer packed.stop()
	for s, err := range r.Sections() {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return nil, err
		}
		size, err := packed.of(&s)
		if err != nil {
			return nil, err
		}
		key := objectKey{objectKind(s.Kind), s.Name}
		if key.kind == "" {
			continue
		}
		i, known := at[key]
		if !known {
			i = len(tables)
			at[key] = i
			tables = append(tables, Table{Name: s.Name, Kind: key.kind})
		}
		tables[i].add(s, size)
	}
	return tables, nil
}

func (t *Table) add(s Section, packed int64) {
	t.Rows += s.Rows
	t.Bytes += s.Length
	t.Packed += packed
	t.Sections = append(t.Sections, s)
}

// packedSizes walks over the frames of the dump beside its sections.
type packedSizes struct {
	next  func() (FrameInfo, error, bool)
	stop  func()
	frame FrameInfo
	begin int64 // of frame in the dump
}

func newPackedSizes(r *Reader) *packedSizes {
	p := &packedSizes{}
	p.next, p.stop = pullDump(r)
	return p
}

// of returns the compressed bytes of a section. Sections are asked for in their order.
func (p *packedSizes) of(s *Section) (int64, error) {
	var sum int64
	for {
		end := p.begin + p.frame.PlainLength
		if from, to := max(s.Offset, p.begin), min(s.Offset+s.Length, end); from < to {
			sum += int64(float64(p.frame.Length) * float64(to-from) / float64(p.frame.PlainLength))
		}
		if s.Offset+s.Length <= end {
			return sum, nil
		}
		f, err, ok := p.next()
		if err != nil {
			return 0, err
		}
		if !ok {
			return 0, corruptAt(-1, "index: the section %s %q ends behind the dump", s.Kind, s.Name)
		}
		p.frame, p.begin = f, end
	}
}

// OpenSections opens the SQL of those sections of the dump that want is true for, one after another. It reads the
// frames that they lie in and no others. A dump of which head and tail are among them can be imported.
func (r *Reader) OpenSections(ctx context.Context, want func(*Section) bool) (io.ReadCloser, error) {
	if r.manifest.GetDump() == nil {
		return nil, fmt.Errorf("dump: %w", ErrNotFound)
	}
	out := &sectionsReader{ctx: ctx, r: r}
	for s, err := range r.Sections() {
		if err != nil {
			return nil, err
		}
		if want(&s) {
			out.add(s)
		}
	}
	return out, nil
}

// sectionsReader reads runs of sections.
type sectionsReader struct {
	ctx  context.Context
	r    *Reader
	runs []Section // sections that follow each other are one
	cur  io.ReadCloser
}

func (s *sectionsReader) add(next Section) {
	if n := len(s.runs); n > 0 && s.runs[n-1].Offset+s.runs[n-1].Length == next.Offset {
		s.runs[n-1].Length += next.Length
		return
	}
	s.runs = append(s.runs, next)
}

// Read reads on, in the next run where one ends.
func (s *sectionsReader) Read(b []byte) (int, error) {
	for {
		if s.cur == nil {
			if len(s.runs) == 0 {
				return 0, io.EOF
			}
			cur, err := s.r.OpenSection(s.ctx, s.runs[0])
			if err != nil {
				return 0, err
			}
			s.cur, s.runs = cur, s.runs[1:]
		}
		n, err := s.cur.Read(b)
		if !errors.Is(err, io.EOF) || n > 0 {
			return n, err
		}
		if err := s.Close(); err != nil {
			return 0, err
		}
	}
}

// Close frees what the reader holds.
func (s *sectionsReader) Close() error {
	if s.cur == nil {
		return nil
	}
	cur := s.cur
	s.cur = nil
	return cur.Close()
}
