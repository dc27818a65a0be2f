package restore

import (
	"strings"
	"sync"

	"github.com/sitekeep/sitekeep/pkg/archive"
)

// What a meter counts in.
const pushing, pushingPaths, importing, importingTables = "push files", "push paths", "import dump", "import tables"

// meter adds up what was sent, for the task's progress.
type meter struct {
	mu    sync.Mutex
	log   Log
	total int64 // plain bytes
	done  int64
	steps map[string]bool
}

// count passes frames on and counts their plain bytes.
func (m *meter) count(step string, frames Frames) Frames {
	return func(yield func(*archive.Frame, error) bool) {
		m.begin(step)
		defer m.finish(step)
		for f, err := range frames {
			if err == nil {
				m.add(int64(f.PlainLength))
			}
			if !yield(f, err) {
				return
			}
		}
	}
}

func (m *meter) begin(step string)  { m.change(step, true) }
func (m *meter) finish(step string) { m.change(step, false) }

func (m *meter) change(step string, on bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if on {
		m.steps[step] = true
	} else {
		delete(m.steps, step)
	}
}

func (m *meter) add(n int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.done += n
	m.show()
}

// extend counts what there was to do on top.
func (m *meter) extend(n int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.total, m.done = m.total+n, m.done+n
	m.show()
}

func (m *meter) show() {
	var names []string
	for _, s := range []string{pushing, pushingPaths, importing, importingTables} {
		if m.steps[s] {
			names = append(names, s)
		}
	}
	m.log.Progress(strings.Join(names, ", "), m.done, m.total, 0)
}

// quote makes one shell word of s.
func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }
