package bed

import (
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"strings"
	"time"
)

// Secret is a random password of 26 letters and digits that appears nowhere
// else on the machine, so that it can be looked for.
func Secret() string { return rand.Text() }

// pause waits for a moment, or for the end of ctx.
func pause(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(pollInterval):
		return nil
	}
}

func chownNobody(paths ...string) error {
	for _, p := range paths {
		if err := os.Lchown(p, Nobody, Nogroup); err != nil {
			return fmt.Errorf("give to nobody: %w", err)
		}
	}
	return nil
}

// Tail is a writer that keeps the last 4 KiB of what is written to it, for the
// words of a program that failed.
type Tail struct {
	kept []byte
}

const tailSize = 4 << 10

// Write keeps the end of p and never fails.
func (t *Tail) Write(p []byte) (int, error) {
	t.kept = append(t.kept, p[max(0, len(p)-tailSize):]...)
	t.kept = t.kept[max(0, len(t.kept)-tailSize):]
	return len(p), nil
}

// String is what was kept, without white space around it.
func (t *Tail) String() string { return strings.TrimSpace(string(t.kept)) }
