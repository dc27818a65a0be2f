package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"time"
)

// machine says on what the numbers were taken.
type machine struct {
	Time       time.Time `json:"time"`
	CPUs       int       `json:"cpus"`
	CPU        string    `json:"cpu"`
	Kernel     string    `json:"kernel"`
	FileSystem string    `json:"file_system"`
	Go         string    `json:"go"`
	Load       string    `json:"load"` // of the last minute before the first run
	Rounds     int       `json:"rounds"`
	Corpus     struct {
		Files     int   `json:"files"`
		Bytes     int64 `json:"bytes"`
		DumpBytes int64 `json:"dump_bytes"`
	} `json:"corpus"`
}

func lookAtMachine(ctx context.Context, w *world) (machine, error) {
	m := machine{Time: time.Now().UTC(), CPUs: runtime.NumCPU(), CPU: cpuModel(), Go: runtime.Version(), Rounds: w.options.rounds}
	kernel, err := os.ReadFile("/proc/sys/kernel/osrelease")
	if err != nil {
		return m, err
	}
	load, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return m, err
	}
	fs, err := exec.CommandContext(ctx, "stat", "--file-system", "--format=%T", w.bed.Dir()).Output()
	if err != nil {
		return m, fmt.Errorf("file system of %s: %w", w.bed.Dir(), err)
	}
	m.Kernel, m.FileSystem = strings.TrimSpace(string(kernel)), strings.TrimSpace(string(fs))
	m.Load, _, _ = strings.Cut(string(load), " ")
	m.Corpus.Files, m.Corpus.Bytes, m.Corpus.DumpBytes = w.corpus.Files, w.corpus.Bytes, w.corpus.DumpBytes
	return m, nil
}

func (m *machine) print(out io.Writer) error {
	fmt.Fprintf(out, "%s, %d CPUs (%s), Linux %s, %s, %s, load %s; medians of up to %d interleaved rounds, warm cache\n",
		m.Time.Format(time.RFC3339), m.CPUs, m.CPU, m.Kernel, m.FileSystem, m.Go, m.Load, m.Rounds)
	_, err := fmt.Fprintf(out, "corpus: %d files, %.0f MB, and a database whose dump is %.0f MB\n",
		m.Corpus.Files, float64(m.Corpus.Bytes)/1e6, float64(m.Corpus.DumpBytes)/1e6)
	return err
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
