// Command gotest runs go test with the arguments it is given, prints what go
// test prints for packages and for failed tests, and fails when a test was
// skipped: a skip hides a missing part. Unless TMPDIR is set, the tests' files
// are in memory where there is enough of it. It refuses to know what is tested.
//
//	go run ./tools/gotest -tags integration ./...
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strings"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "gotest:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	return runIn(func(env []string) error { return runTests(ctx, env, args, stdout, stderr) }, stderr)
}

func runTests(ctx context.Context, env, args []string, stdout, stderr io.Writer) error {
	cmd := exec.CommandContext(ctx, "go", append([]string{"test", "-json"}, args...)...)
	cmd.Env = env
	cmd.Stderr = stderr
	// The tests' own end is go test's to wait for.
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	events, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	r := newReport(stdout)
	err = errors.Join(r.read(events), cmd.Wait())
	return errors.Join(err, r.summary())
}

// event is one line of go test -json; see go doc test2json.
type event struct {
	Action  string
	Package string
	Test    string
	Output  string
}

type report struct {
	out     io.Writer
	output  map[string][]string // of tests that run, by package and name
	skipped []string
	passed  int
	failed  int
}

func newReport(out io.Writer) *report {
	return &report{out: out, output: map[string][]string{}}
}

func (r *report) read(events io.Reader) error {
	lines := bufio.NewReader(events)
	for {
		line, err := lines.ReadBytes('\n')
		if len(line) > 0 {
			if err := r.line(line); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("output of go test: %w", err)
		}
	}
}

// line takes one event; what is no event, such as the words of a compiler,
// goes through.
func (r *report) line(line []byte) error {
	var e event
	if json.Unmarshal(line, &e) != nil {
		_, err := r.out.Write(line)
		return err
	}
	key := e.Package + " " + e.Test
	switch e.Action {
	case "output", "build-output":
		return r.print(key, e)
	case "pass", "fail", "skip":
		return r.end(key, e)
	}
	return nil
}

// print keeps what a test says until it is known whether it fails; what a
// package says goes through, go test's closing lines among it.
func (r *report) print(key string, e event) error {
	if e.Test != "" {
		r.output[key] = append(r.output[key], e.Output)
		return nil
	}
	if e.Output == "PASS\n" || strings.HasPrefix(e.Output, "testing: warning: no tests to run") {
		return nil
	}
	_, err := io.WriteString(r.out, e.Output)
	return err
}

func (r *report) end(key string, e event) error {
	if e.Test == "" {
		return r.flush(e)
	}
	said := r.output[key]
	delete(r.output, key)
	switch e.Action {
	case "pass":
		r.passed++
		return nil
	case "skip":
		r.skipped = append(r.skipped, key+"\n"+strings.Join(said, ""))
		return nil
	}
	r.failed++
	_, err := io.WriteString(r.out, strings.Join(said, ""))
	return err
}

// flush prints what tests said that have no end, because their process broke
// off.
func (r *report) flush(e event) error {
	if e.Action == "skip" { // a package without tests
		return nil
	}
	var keys []string
	for key := range r.output {
		if strings.HasPrefix(key, e.Package+" ") {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	for _, key := range keys {
		if e.Action == "fail" {
			if _, err := io.WriteString(r.out, strings.Join(r.output[key], "")); err != nil {
				return err
			}
		}
		delete(r.output, key)
	}
	return nil
}

func (r *report) summary() error {
	for _, s := range r.skipped {
		if _, err := fmt.Fprintf(r.out, "--- SKIPPED, which counts as a failure: %s", s); err != nil {
			return err
		}
	}
	if _, err := fmt.Fprintf(r.out, "%d tests passed, %d failed, %d skipped\n", r.passed, r.failed, len(r.skipped)); err != nil {
		return err
	}
	if len(r.skipped) > 0 {
		return fmt.Errorf("%d tests were skipped: make them run, or remove them", len(r.skipped))
	}
	return nil
}
