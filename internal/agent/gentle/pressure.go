package gentle

import (
	"bufio"
	"bytes"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Machine returns the pressure of this machine as the kernel measures it
// (Documentation/accounting/psi.rst): the time in which something waited for a
// processor and that in which something waited for a disk, added up. Kernels
// without it have /proc/loadavg alone; see crowd.
func Machine() Pressure { return machine("/proc") }

func machine(proc string) Pressure {
	cpu, disk := filepath.Join(proc, "pressure/cpu"), filepath.Join(proc, "pressure/io")
	if _, ok := stalled(cpu); !ok {
		return (&crowd{path: filepath.Join(proc, "loadavg"), processors: runtime.NumCPU(), now: time.Now}).waited
	}
	return func() (time.Duration, bool) {
		a, ok := stalled(cpu)
		b, _ := stalled(disk)
		return a + b, ok
	}
}

// stalled reads "some avg10=0.00 avg60=0.00 avg300=0.00 total=12345", in microseconds.
func stalled(path string) (time.Duration, bool) {
	text, err := os.ReadFile(path)
	if err != nil {
		return 0, false
	}
	lines := bufio.NewScanner(bytes.NewReader(text))
	for lines.Scan() {
		line, found := strings.CutPrefix(lines.Text(), "some ")
		if _, total, ok := strings.Cut(line, "total="); ok && found {
			us, err := strconv.ParseInt(total, 10, 64)
			return time.Duration(us) * time.Microsecond, err == nil
		}
	}
	return 0, false
}

// crowd takes the time since it was last asked as one of waiting if now more
// threads can run than there are processors for.
type crowd struct {
	path       string
	processors int
	now        func() time.Time

	mu    sync.Mutex
	total time.Duration
	asked time.Time
}

func (c *crowd) waited() (time.Duration, bool) {
	text, err := os.ReadFile(c.path)
	fields := strings.Fields(string(text)) // "0.20 0.18 0.12 1/80 11206"
	if err != nil || len(fields) < 4 {
		return 0, false
	}
	now, _, _ := strings.Cut(fields[3], "/")
	runnable, err := strconv.Atoi(now)
	if err != nil {
		return 0, false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	at := c.now()
	if !c.asked.IsZero() && runnable-1 > c.processors { // the thread that reads is one of them
		c.total += at.Sub(c.asked)
	}
	c.asked = at
	return c.total, true
}
