package main

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
)

// report is what a run of the program found, in the form of its JSON.
type report struct {
	Machine machine     `json:"machine"`
	Rows    []rowReport `json:"rows"`
}

type rowReport struct {
	Name   string       `json:"name"`
	What   string       `json:"what"`
	Rounds int          `json:"rounds"`
	Sides  []sideReport `json:"sides"`
	Goals  []goalReport `json:"goals,omitempty"`
	Error  string       `json:"error,omitempty"` // why there are no sides

	columns []string
}

// sideReport has medians, and all runs in their order.
type sideReport struct {
	Name    string             `json:"name"`
	Medians map[string]float64 `json:"medians,omitempty"`
	Runs    []sample           `json:"runs,omitempty"`
	Error   string             `json:"error,omitempty"`
}

type goalReport struct {
	Goal    string   `json:"goal"`
	AtMost  float64  `json:"at_most"`
	Value   *float64 `json:"value"` // null: not measured
	Reached bool     `json:"reached"`
	Why     string   `json:"why,omitempty"` // it was not measured
}

// report sums the row up.
func (r *row) report(entry rowEntry) rowReport {
	out := rowReport{Name: entry.name, What: entry.what, columns: append([]string{cpu, peak, archiveMB}, r.columns...)}
	for _, s := range r.sides {
		side := sideReport{Name: s.name, Runs: r.results[s.name], Medians: map[string]float64{}}
		for _, run := range side.Runs {
			for figure := range run {
				side.Medians[figure] = median(r.values(s.name, figure))
			}
		}
		if err := r.failures[s.name]; err != nil {
			side.Error = err.Error()
		}
		out.Rounds = max(out.Rounds, len(side.Runs))
		out.Sides = append(out.Sides, side)
	}
	for _, g := range r.goals {
		out.Goals = append(out.Goals, g.report(r))
	}
	return out
}

func (g goal) report(r *row) goalReport {
	value, err := g.value(r)
	if err != nil {
		return goalReport{Goal: g.text, AtMost: g.limit, Why: err.Error()}
	}
	return goalReport{Goal: g.text, AtMost: g.limit, Value: &value, Reached: value <= g.limit}
}

// missed counts the goals that were not reached.
func (r rowReport) missed() (n int) {
	for _, g := range r.Goals {
		if !g.Reached {
			n++
		}
	}
	return n
}

// failed says whether something did not run to its end.
func (r rowReport) failed() bool {
	return r.Error != "" || slices.ContainsFunc(r.Sides, func(s sideReport) bool { return s.Error != "" })
}

// print prints the row as tables of sides and of goals.
func (r rowReport) print(out io.Writer) error {
	fmt.Fprintf(out, "\n%s: %s\n", r.Name, r.What)
	if r.Error != "" {
		_, err := fmt.Fprintf(out, "  FAILED: %s\n", r.Error)
		return err
	}
	if err := r.printSides(out); err != nil {
		return err
	}
	return r.printGoals(out)
}

func (r rowReport) printSides(out io.Writer) error {
	columns := slices.DeleteFunc(slices.Clone(r.columns), func(c string) bool { return !r.has(c) })
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(t, "side\truns\t%s\tmin..max\tratio\t%s\t\n", wall, strings.Join(columns, "\t"))
	for _, s := range r.Sides {
		if len(s.Runs) == 0 {
			fmt.Fprintf(t, "%s\t0\t\n", s.Name)
			continue
		}
		low, high := extremes(s.Runs)
		fmt.Fprintf(t, "%s\t%d\t%.2f\t%.2f..%.2f\t%s\t", s.Name, len(s.Runs), s.Medians[wall], low, high, r.ratio(s))
		for _, c := range columns {
			fmt.Fprintf(t, "%s\t", number(s.Medians, c))
		}
		fmt.Fprintln(t)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for _, s := range r.Sides {
		if s.Error != "" {
			fmt.Fprintf(out, "  FAILED: %s: %s\n", s.Name, s.Error)
		}
	}
	return nil
}

// has says whether some side has a figure that is not zero.
func (r rowReport) has(figure string) bool {
	return slices.ContainsFunc(r.Sides, func(s sideReport) bool { return s.Medians[figure] != 0 })
}

// ratio is that of the first side's time to this one's.
func (r rowReport) ratio(s sideReport) string {
	first, ok := r.Sides[0].Medians[wall]
	if !ok || s.Medians[wall] == 0 {
		return ""
	}
	return fmt.Sprintf("%.2f", first/s.Medians[wall])
}

func extremes(runs []sample) (low, high float64) {
	low = runs[0][wall]
	for _, s := range runs {
		low, high = min(low, s[wall]), max(high, s[wall])
	}
	return low, high
}

func number(figures map[string]float64, name string) string {
	value, ok := figures[name]
	switch {
	case !ok:
		return ""
	case value >= 100:
		return fmt.Sprintf("%.0f", value)
	case value >= 10:
		return fmt.Sprintf("%.1f", value)
	}
	return fmt.Sprintf("%.2f", value)
}

func (r rowReport) printGoals(out io.Writer) error {
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, g := range r.Goals {
		value, reached := "not measured", "NO"
		if g.Value != nil {
			value = fmt.Sprintf("%.3f", *g.Value)
		}
		if g.Reached {
			reached = "yes"
		}
		fmt.Fprintf(t, "  goal: %s\t%s\tat most %.4g\treached: %s\n", g.Goal, value, g.AtMost, reached)
	}
	return t.Flush()
}

func (r *report) writeJSON(out io.Writer) error {
	e := json.NewEncoder(out)
	e.SetIndent("", "  ")
	return e.Encode(r)
}
