package gentle

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// kernel is a /proc of a test.
func kernel(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestPressureOfTheKernel(t *testing.T) {
	dir := kernel(t, map[string]string{
		"pressure/cpu": "some avg10=1.00 avg60=0.00 avg300=0.00 total=1500000\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=7\n",
		"pressure/io":  "some avg10=0.00 avg60=0.00 avg300=0.00 total=500\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=7\n",
	})
	if d, ok := machine(dir)(); !ok || d != 1500500*time.Microsecond {
		t.Errorf("%s, %v", d, ok)
	}
}

// Without it the number of threads that can run is all that is known.
func TestPressureOfOldKernels(t *testing.T) {
	dir := kernel(t, map[string]string{"loadavg": "0.20 0.18 0.12 9/80 11206\n"})
	now := time.Unix(1e9, 0)
	c := &crowd{path: filepath.Join(dir, "loadavg"), processors: 7, now: func() time.Time { now = now.Add(time.Second); return now }}
	for i, want := range []time.Duration{0, time.Second, 2 * time.Second} {
		if d, ok := c.waited(); !ok || d != want {
			t.Errorf("look %d: %s, %v", i, d, ok)
		}
	}
	c.processors = 8 // eight run beside the one that looks
	if d, ok := c.waited(); !ok || d != 2*time.Second {
		t.Errorf("with enough processors: %s, %v", d, ok)
	}
	if _, ok := machine(dir)(); !ok {
		t.Error("the machine is not known by its load")
	}
	for _, text := range []string{"", "0.20 0.18", "a b c d/e"} {
		if _, ok := machine(kernel(t, map[string]string{"loadavg": text}))(); ok {
			t.Errorf("%q says something", text)
		}
	}
}

// All threads of this process go to SCHED_IDLE and come back.
func TestThreads(t *testing.T) {
	p, err := Threads()
	if err != nil {
		t.Fatalf("%v: the tests run as root", err)
	}
	block := make(chan bool)
	defer close(block)
	for range 4 { // threads of their own
		go func() { runtime.LockOSThread(); <-block }()
	}
	for _, lowest := range []bool{true, false} {
		want := unix.SCHED_NORMAL
		if lowest {
			want = unix.SCHED_IDLE
		}
		p(lowest)
		for tid, policy := range policies(t) {
			if policy != want {
				t.Errorf("lowest %v: thread %s has policy %d", lowest, tid, policy)
			}
		}
	}
}

// TestSession: a process that leads its session lowers that, too, and no other does.
func TestSession(t *testing.T) {
	const asked = "SITEKEEP_TEST_SESSION"
	if path := os.Getenv(asked); path != "" {
		setSession(path, true)
		return
	}
	for _, leads := range []bool{true, false} {
		path := filepath.Join(kernel(t, map[string]string{"autogroup": ""}), "autogroup")
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run", "^TestSession$")
		cmd.Env = append(os.Environ(), asked+"="+path)
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: leads}
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		text, err := os.ReadFile(path)
		if want := map[bool]string{true: "19"}[leads]; err != nil || string(text) != want {
			t.Errorf("leads its session %v: %q, %v", leads, text, err)
		}
	}
}

func policies(t *testing.T) map[string]int {
	t.Helper()
	out := map[string]int{}
	files, err := filepath.Glob("/proc/self/task/*/stat")
	if err != nil || len(files) == 0 {
		t.Fatal("no threads", err)
	}
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			continue // it has ended
		}
		// proc_pid_stat(5): policy is field 41; the name in field 2 may hold blanks.
		fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
		out[strings.Split(f, "/")[4]] = int(fields[41-3][0] - '0')
	}
	return out
}
