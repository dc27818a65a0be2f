package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

func median[T time.Duration | int64](values []T) T {
	sorted := slices.Sorted(slices.Values(values))
	n := len(sorted)
	if n%2 == 1 {
		return sorted[n/2]
	}
	return (sorted[n/2-1] + sorted[n/2]) / 2
}

func pick[T any](samples []sample, f func(sample) T) []T {
	out := make([]T, len(samples))
	for i, s := range samples {
		out[i] = f(s)
	}
	return out
}

// print prints the row's table and returns how many goals were missed.
func (r *row) print(out io.Writer, entry rowEntry) (missed int, err error) {
	fmt.Fprintf(out, "\n%s: %s\n", entry.name, entry.what)
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(t, "side\twall s\tmin..max\tratio\tgoal\tCPU s\tpeak MiB\tarchive MB\t\n")
	first := median(pick(r.results[r.sides[0]], func(s sample) time.Duration { return s.wall }))
	for i, s := range r.sides {
		samples := r.results[s]
		walls := pick(samples, func(s sample) time.Duration { return s.wall })
		ratio, goal := "1", ""
		if i > 0 {
			value := first.Seconds() / median(walls).Seconds()
			ratio = fmt.Sprintf("%.2f", value)
			if s.goal > 0 {
				goal = fmt.Sprintf("<= %.2f met", s.goal)
				if value > s.goal {
					goal = fmt.Sprintf("<= %.2f MISSED", s.goal)
					missed++
				}
			}
		}
		fmt.Fprintf(t, "%s\t%.2f\t%.2f..%.2f\t%s\t%s\t%.1f\t%d\t%s\t\n", s.name, median(walls).Seconds(),
			slices.Min(walls).Seconds(), slices.Max(walls).Seconds(), ratio, goal,
			median(pick(samples, func(s sample) time.Duration { return s.cpu })).Seconds(),
			median(pick(samples, func(s sample) int64 { return s.peak }))>>20,
			megabytes(median(pick(samples, func(s sample) int64 { return s.bytes }))))
	}
	return missed, t.Flush()
}

func megabytes(n int64) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf("%.0f", float64(n)/1e6)
}

// printMachine says on what the numbers were taken.
func printMachine(ctx context.Context, out io.Writer, w *world) error {
	kernel, err := os.ReadFile("/proc/sys/kernel/osrelease")
	if err != nil {
		return err
	}
	load, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return err
	}
	fs, err := exec.CommandContext(ctx, "stat", "--file-system", "--format=%T", w.bed.Dir()).Output()
	if err != nil {
		return fmt.Errorf("file system of %s: %w", w.bed.Dir(), err)
	}
	fmt.Fprintf(out, "%s, %d CPUs (%s), Linux %s, %s, %s, load %s; medians of %d interleaved rounds, warm cache\n",
		time.Now().UTC().Format(time.RFC3339), runtime.NumCPU(), cpuModel(), strings.TrimSpace(string(kernel)),
		strings.TrimSpace(string(fs)), runtime.Version(), strings.Fields(string(load))[0], w.options.rounds)
	fmt.Fprintf(out, "corpus: %d files, %.0f MB, and a database whose dump is %.0f MB\n",
		w.corpus.Files, float64(w.corpus.Bytes)/1e6, float64(w.corpus.DumpBytes)/1e6)
	return nil
}

func cpuModel() string {
	text, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return "unknown"
	}
	_, rest, found := strings.Cut(string(text), "model name\t: ")
	if !found {
		return runtime.GOARCH
	}
	model, _, _ := strings.Cut(rest, "\n")
	return model
}
