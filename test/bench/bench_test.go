package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// seconds makes samples of the given wall times.
func seconds(walls ...float64) []sample {
	var out []sample
	for _, w := range walls {
		out = append(out, sample{wall: w, archiveMB: 7})
	}
	return out
}

// nothing is a side's work or check.
func nothing(context.Context, *meter) error { return nil }

// TestReportJudgesMedians has one goal reached, one missed, one at its limit,
// and one for which nothing was measured.
func TestReportJudgesMedians(t *testing.T) {
	r := newRow("extra")
	for _, name := range []string{"ours", "slow", "fast"} {
		r.add(name, &side{work: nothing}, nil)
	}
	r.add("absent", nil, errors.New("it is not installed"))
	r.results = map[string][]sample{"ours": seconds(2, 1, 90), "slow": seconds(8, 8, 8), "fast": seconds(1, 3)}
	r.want(ratio(wall, "ours", "slow", 0.25), ratio(wall, "ours", "fast", 0.9), within(wall, "slow", 8).named("at the limit"),
		ratio(wall, "ours", "absent", 0.5), beyond(wall, "slow", "ours", 5), within("extra", "ours", 1))
	got := r.report(rowEntry{name: "row", what: "what"})
	var reached []bool
	for _, g := range got.Goals {
		reached = append(reached, g.Reached)
	}
	if want := []bool{true, false, true, false, false, false}; !slices.Equal(reached, want) {
		t.Errorf("reached %v, want %v", reached, want)
	}
	if got.missed() != 4 || !got.failed() {
		t.Errorf("%d goals missed, failed %v", got.missed(), got.failed())
	}
	var out strings.Builder
	if err := got.print(&out); err != nil {
		t.Fatal(err)
	}
	table := strings.Join(strings.Fields(out.String()), " ")
	for _, want := range []string{
		"ours 3 2.00 1.00..90.00 1.00 7.00", "slow 3 8.00 8.00..8.00 0.25", "absent 0", "FAILED: absent: it is not installed",
		"wall s, ours to slow 0.250 at most 0.25 reached: yes", "wall s, ours to fast 1.000 at most 0.9 reached: NO",
		"wall s of slow (at the limit) 8.000 at most 8 reached: yes", "wall s, ours to absent not measured at most 0.5 reached: NO",
		"wall s, slow beyond ours 6.000 at most 5 reached: NO", "extra of ours not measured",
	} {
		if !strings.Contains(table, want) {
			t.Errorf("no %q in\n%s", want, &out)
		}
	}
}

func TestReportAsJSON(t *testing.T) {
	r := newRow()
	r.add("ours", &side{work: nothing}, nil)
	r.results["ours"] = seconds(1, 2, 4)
	r.want(within(wall, "ours", 1), within("other", "ours", 1))
	all := report{Rows: []rowReport{r.report(rowEntry{name: "row"})}}
	var out bytes.Buffer
	if err := all.writeJSON(&out); err != nil {
		t.Fatal(err)
	}
	var back struct {
		Rows []struct {
			Sides []struct {
				Medians map[string]float64
				Runs    []map[string]float64
			}
			Goals []struct {
				Value   *float64
				Reached bool
			}
		}
	}
	if err := json.Unmarshal(out.Bytes(), &back); err != nil {
		t.Fatal(err)
	}
	row := back.Rows[0]
	if row.Sides[0].Medians[wall] != 2 || len(row.Sides[0].Runs) != 3 || *row.Goals[0].Value != 2 || row.Goals[0].Reached || row.Goals[1].Value != nil {
		t.Errorf("JSON is\n%s", &out)
	}
}

func TestSidesTakeTurnsAndAFailedOneStopsNoOther(t *testing.T) {
	var order []string
	r := newRow()
	for _, name := range []string{"a", "b", "c"} {
		r.add(name, &side{work: func(context.Context, *meter) error { order = append(order, name); return nil }}, nil)
	}
	r.before = func(_ context.Context, round int) error { order = append(order, fmt.Sprint(round)); return nil }
	if err := r.measure(t.Context(), 2, t.Logf); err != nil {
		t.Fatal(err)
	}
	r.sides[1].check = func(context.Context, *meter) error { return errors.New("it did nothing") }
	if err := r.measure(t.Context(), 2, t.Logf); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(order, ""); got != "0abc1cba0abc1ca" {
		t.Errorf("order %s", got)
	}
	if err := r.failures["b"]; err == nil || err.Error() != "round 1: check: it did nothing" {
		t.Errorf("a side that did not do its work: %v", err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	r.sides[0].work = func(context.Context, *meter) error { cancel(errInterrupted); return errInterrupted }
	if err := r.measure(ctx, 2, t.Logf); !errors.Is(err, errInterrupted) || r.failures["a"] != nil {
		t.Errorf("an interruption: %v", err)
	}
}

var errInterrupted = errors.New("interrupted")

func TestRowsAreNamedOnceAndExtraOnesOnlyRunWhenNamed(t *testing.T) {
	seen := map[string]bool{}
	for _, r := range rows() {
		if seen[r.name] {
			t.Errorf("two rows are named %s", r.name)
		}
		seen[r.name] = true
	}
	for args, want := range map[string]bool{"": false, "-rows=million": true, "-rows=.": true} {
		o, err := parse(strings.Fields(args), io.Discard)
		if err != nil {
			t.Fatal(err)
		}
		if got := slices.ContainsFunc(o.chosen(), func(r rowEntry) bool { return r.name == "million" }); got != want {
			t.Errorf("%q runs the row million: %v", args, got)
		}
	}
	for _, bad := range []string{"-rounds=0", "-rows=(", "-o=xml", "first"} {
		if _, err := parse([]string{bad}, io.Discard); err == nil {
			t.Errorf("%s is accepted", bad)
		}
	}
	if o, err := parse([]string{"-quick"}, io.Discard); err != nil || o.rounds != 2 {
		t.Errorf("-quick: %+v, %v", o, err)
	}
}

func TestMeterCountsAPipeline(t *testing.T) {
	m := newMeter()
	last := tool(t.Context(), nil, "wc", "-c")
	var out bytes.Buffer
	last.Stdout = &out
	if err := m.pipe(tool(t.Context(), nil, "head", "-c", "200000000", "/dev/zero"), tool(t.Context(), nil, "gzip", "-1"), last); err != nil {
		t.Fatal(err)
	}
	if err := m.finish(); err != nil {
		t.Fatal(err)
	}
	if m.figures[cpu] < 0.05 || m.figures[peak] < 0.1 || out.Len() < 5 {
		t.Errorf("counted %v, output %q", m.figures, &out)
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
