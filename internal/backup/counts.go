package backup

import (
	"fmt"
	"hash/maphash"
	"sync"
)

const (
	// maxWarnings bounds what a backup's entry in the catalogue keeps; the task's log has them all.
	maxWarnings = 100
	// maxSeen bounds how many warnings are known again when a stream that broke comes anew.
	maxSeen = 1 << 16
)

// counts adds up what has come from two streams at once.
type counts struct {
	mu     sync.Mutex
	come   map[string]progress // by stream
	texts  []string
	warned int
	seed   maphash.Seed
	seen   map[uint64]bool // hashes of the warnings
}

type progress struct{ bytes, files int64 }

func newCounts() *counts {
	return &counts{come: map[string]progress{}, seed: maphash.MakeSeed(), seen: map[uint64]bool{}}
}

// begin says that a stream comes from its start.
func (c *counts) begin(stream string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.come[stream] = progress{}
}

func (c *counts) add(stream string, bytes, files int64) (allBytes, allFiles int64) {
	c.mu.Lock()
	p := c.come[stream]
	c.come[stream] = progress{p.bytes + bytes, p.files + files}
	c.mu.Unlock()
	return c.sum()
}

func (c *counts) sum() (bytes, files int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, p := range c.come {
		bytes, files = bytes+p.bytes, files+p.files
	}
	return bytes, files
}

// warn takes a warning, once.
func (c *counts) warn(log Log, text string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	h := maphash.String(c.seed, text)
	if c.seen[h] {
		return
	}
	if len(c.seen) < maxSeen {
		c.seen[h] = true
	}
	c.warned++
	if len(c.texts) < maxWarnings {
		c.texts = append(c.texts, text)
	}
	log.Warn("%s", text)
}

func (c *counts) warnings() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if rest := c.warned - len(c.texts); rest > 0 {
		return append(c.texts[:len(c.texts):len(c.texts)], fmt.Sprintf("and %d more; the log of the task has them", rest))
	}
	return c.texts
}
