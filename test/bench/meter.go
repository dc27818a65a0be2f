package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/sitekeep/sitekeep/test/bed"
)

// meter adds up what the programs of one run cost: children by their rusage,
// daemons by what /proc says before and after. Figures of other kinds are noted
// by the sides.
type meter struct {
	mu      sync.Mutex
	cpu     time.Duration
	peak    int64
	daemons []daemon
	figures sample
}

// daemon is a process that was there before. Those with a label have figures of
// their own; those whose cost is only noted do not count as programs of the run.
type daemon struct {
	pid    int
	label  string
	aside  bool
	before time.Duration
}

func newMeter() *meter { return &meter{figures: sample{}} }

// note keeps a figure of the run; the last one of a name counts.
func (m *meter) note(name string, value float64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.figures[name] = value
}

// run runs a program to its end and adds its cost. Its standard error is the
// error's text when it fails.
func (m *meter) run(cmd *exec.Cmd) error {
	said := &bed.Tail{}
	if cmd.Stderr == nil {
		cmd.Stderr = said
	}
	cmd.WaitDelay = time.Minute
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("%s: %w", cmd.Args[0], err)
	}
	ended, sampled := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(sampled)
		m.sample(cmd.Process.Pid, ended)
	}()
	err := cmd.Wait()
	close(ended)
	<-sampled
	m.mu.Lock()
	m.cpu += cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	m.mu.Unlock()
	if err != nil {
		return fmt.Errorf("%s: %w: %s", cmd.Args[0], err, said)
	}
	return nil
}

// sample follows a child's peak. Its rusage would not do: there, a child begins
// with what its parent had when it forked.
func (m *meter) sample(pid int, ended <-chan struct{}) {
	for {
		if peak, err := peakOf(pid); err == nil {
			m.mu.Lock()
			m.peak = max(m.peak, peak)
			m.mu.Unlock()
		}
		select {
		case <-ended:
			return
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// watch counts a daemon from now on: its CPU time and that of its children that
// end meanwhile, and its peak, which starts again at what it has now.
func (m *meter) watch(daemons ...daemon) error {
	for _, d := range daemons {
		// 5 resets the peak; proc(5), clear_refs.
		if err := os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", d.pid), []byte("5"), 0); err != nil {
			return fmt.Errorf("meter: %w", err)
		}
		var err error
		if d.before, err = cpuOf(d.pid); err != nil {
			return err
		}
		m.daemons = append(m.daemons, d)
	}
	return nil
}

// finish turns what was counted into figures.
func (m *meter) finish() error {
	for _, d := range m.daemons {
		used, err := cpuOf(d.pid)
		if err != nil {
			return err
		}
		used -= d.before
		top, err := peakOf(d.pid)
		if err != nil {
			return err
		}
		if d.label != "" {
			m.note(d.label+" CPU s", used.Seconds())
			m.note(d.label+" MiB", mebibytes(top))
		}
		if !d.aside {
			m.cpu += used
			m.peak = max(m.peak, top)
		}
	}
	m.note(cpu, m.cpu.Seconds())
	m.note(peak, mebibytes(m.peak))
	return nil
}

func mebibytes(n int64) float64 { return float64(n) / (1 << 20) }

func megabytes(n int64) float64 { return float64(n) / 1e6 }

// cpuOf is a process's time on the CPU, with that of the children it waited
// for.
func cpuOf(pid int) (time.Duration, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, fmt.Errorf("meter: %w", err)
	}
	// utime, stime, cutime and cstime are fields 14 to 17 of proc(5), in ticks of
	// 1/100 s; the command in parentheses is field 2.
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
	var ticks int64
	for _, f := range fields[11:15] {
		n, err := strconv.ParseInt(f, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("meter: stat of %d: %w", pid, err)
		}
		ticks += n
	}
	return time.Duration(ticks) * 10 * time.Millisecond, nil
}

func peakOf(pid int) (int64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, fmt.Errorf("meter: %w", err)
	}
	_, rest, found := strings.Cut(string(text), "VmHWM:")
	if !found {
		return 0, fmt.Errorf("meter: process %d has no VmHWM", pid)
	}
	kib, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
	return kib << 10, err
}

// pipe runs programs as a shell's pipeline does and waits for all of them. The
// first's input and the last's output are the caller's to set.
func (m *meter) pipe(cmds ...*exec.Cmd) error {
	var ends []*os.File
	for i := range len(cmds) - 1 {
		r, w, err := os.Pipe()
		if err != nil {
			return err
		}
		cmds[i].Stdout, cmds[i+1].Stdin = w, r
		ends = append(ends, w, r)
	}
	errs := make([]error, len(cmds))
	var wg sync.WaitGroup
	for i, cmd := range cmds {
		wg.Go(func() {
			errs[i] = m.run(cmd)
			// Its neighbours see the end of the stream.
			if i > 0 {
				_ = ends[2*i-1].Close()
			}
			if i < len(cmds)-1 {
				_ = ends[2*i].Close()
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// tool prepares a program with a bare environment and some variables.
func tool(ctx context.Context, env []string, argv ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "LANG=C.UTF-8", "HOME=/nonexistent"}, env...)
	return cmd
}

// stopwatch notes as a figure how long it was until what it returns is called first.
func (m *meter) stopwatch(figure string) (stop func()) {
	began := time.Now()
	return sync.OnceFunc(func() { m.note(figure, time.Since(began).Seconds()) })
}
