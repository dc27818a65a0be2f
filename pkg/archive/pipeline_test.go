package archive

import (
	"context"
	"sync/atomic"
	"testing"
	"time"
)

// TestWorkersKeepTheOrder however many there are: the tarball is the same.
func TestWorkersKeepTheOrder(t *testing.T) {
	s := manySmall(t, 80)
	var first *made
	for _, workers := range []int{1, 2, 7} {
		m := s.make(makeOptions{codec: Zstd(), source: SourceOptions{Workers: workers, Clock: fixedClock}})
		if first == nil {
			first = m
		}
		if m.result != first.result {
			t.Errorf("%d workers made %+v, one made %+v", workers, m.result, first.result)
		}
	}
}

// TestFramesAreMadeWhileOneIsSent has a receiver that takes the first frame and
// waits until others are ready behind it.
func TestFramesAreMadeWhileOneIsSent(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	line := newPipeline(ctx, 2, 1<<10)
	var made atomic.Int64
	ready := make(chan struct{})
	c := must[*compressor](t)(newCompressor(Zstd(), 1<<10))
	go func() {
		defer line.end()
		for range 4 {
			if line.put(&job{kind: KindTree, plain: text(1, 100)}) != nil {
				return
			}
		}
	}()
	go func() {
		_ = line.work(c, func(*job) {
			if made.Add(1) == 3 {
				close(ready)
			}
		})
	}()
	sent := 0
	out := &emitter{line: line, emit: func(ctx context.Context, _ Item) error {
		if sent++; sent > 1 {
			return nil
		}
		select {
		case <-ready:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}}
	if err := out.run(ctx); err != nil || sent != 4 {
		t.Errorf("%d frames were sent, %d made: %v", sent, made.Load(), err)
	}
}
