package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

// seconds makes samples of the given wall times.
func seconds(walls ...float64) []sample {
	var out []sample
	for _, w := range walls {
		out = append(out, sample{wall: time.Duration(w * float64(time.Second)), bytes: 7e6})
	}
	return out
}

func TestRowPrintsRatiosOfMedians(t *testing.T) {
	ours := &side{name: "ours"}
	met, missed, free := &side{name: "met", goal: 0.25}, &side{name: "missed", goal: 0.20}, &side{name: "free"}
	r := &row{sides: []*side{ours, met, missed, free}, results: map[*side][]sample{
		ours: seconds(2, 1, 90), met: seconds(8, 8, 8), missed: seconds(9, 8, 1), free: seconds(1, 3),
	}}
	var out strings.Builder
	n, err := r.print(&out, rowEntry{name: "row", what: "what"})
	if err != nil || n != 1 {
		t.Errorf("%d goals missed, error %v; want 1", n, err)
	}
	table := strings.Join(strings.Fields(out.String()), " ")
	for _, want := range []string{"ours 2.00 1.00..90.00 1", "0.25 <= 0.25 met", "0.25 <= 0.20 MISSED", "free 2.00 1.00..3.00 1.00 0.0"} {
		if !strings.Contains(table, want) {
			t.Errorf("no %q in\n%s", want, &out)
		}
	}
}

func TestSidesTakeTurns(t *testing.T) {
	var order []string
	add := func(name string) *side {
		return &side{
			name:  name,
			work:  func(context.Context, *meter) error { order = append(order, name); return nil },
			check: func(context.Context) (int64, error) { return 0, nil },
		}
	}
	r := &row{sides: []*side{add("a"), add("b"), add("c")}}
	var rounds []string
	for round := range 2 {
		order = nil
		if err := r.round(t.Context(), round, func(string, ...any) {}); err != nil {
			t.Fatal(err)
		}
		rounds = append(rounds, strings.Join(order, ""))
	}
	if got := strings.Join(rounds, " "); got != "abc cba" {
		t.Errorf("order %s", got)
	}
	r.sides[1].check = func(context.Context) (int64, error) { return 0, errors.New("it did nothing") }
	if err := r.round(t.Context(), 0, func(string, ...any) {}); err == nil || !strings.Contains(err.Error(), "b: check: it did nothing") {
		t.Errorf("a side that did not do its work: %v", err)
	}
}

func TestMeterCountsAPipeline(t *testing.T) {
	var m meter
	last := tool(t.Context(), nil, "wc", "-c")
	var out bytes.Buffer
	last.Stdout = &out
	if err := m.pipe(tool(t.Context(), nil, "head", "-c", "200000000", "/dev/zero"), tool(t.Context(), nil, "gzip", "-1"), last); err != nil {
		t.Fatal(err)
	}
	var s sample
	if err := m.finish(&s); err != nil {
		t.Fatal(err)
	}
	if s.cpu < 50*time.Millisecond || s.peak < 100<<10 || out.Len() < 5 {
		t.Errorf("counted %v and %d bytes, output %q", s.cpu, s.peak, &out)
	}
	if err := m.pipe(tool(t.Context(), nil, "sh", "-c", "echo sorry >&2; exit 3"), tool(t.Context(), nil, "wc")); err == nil || !strings.Contains(err.Error(), "sorry") {
		t.Errorf("a pipeline whose first part fails: %v", err)
	}
}

func TestCorpusIsTheSameFromTheSameSeed(t *testing.T) {
	words := source{strings.SplitAfter(strings.Repeat("function one($a) { return $a; }\n// two\n", 30), "\n")}
	generate := func(seed uint64) string {
		var out bytes.Buffer
		w := bufio.NewWriter(&out)
		tables := &tableMaker{w: w, rand: rand.New(rand.NewPCG(seed, 2)), words: words}
		for _, table := range corpusTables() {
			table.rows = 3
			if err := tables.table(table); err != nil {
				t.Fatal(err)
			}
		}
		files := &treeMaker{rand: rand.New(rand.NewPCG(seed, 1)), words: words}
		if err := errors.Join(files.text(w, 5_000), files.noise(w, 1_001), w.Flush()); err != nil {
			t.Fatal(err)
		}
		return out.String()
	}
	text, again, other := generate(1), generate(1), generate(2)
	if text != again {
		t.Error("two runs of one seed differ")
	}
	if text == other {
		t.Error("two seeds give the same")
	}
	if strings.Count(text, "INSERT INTO") != len(corpusTables()) {
		t.Errorf("%d INSERT statements", strings.Count(text, "INSERT INTO"))
	}
}
