package archive

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
)

// Whoever asked for it may hold a walk up between two files, changed or not, and end it.
func TestASourcePauses(t *testing.T) {
	s := newSite(t)
	for _, name := range []string{"a", "b", "c/d", "c/e"} {
		s.write(name, text(1, 1000))
	}
	var pauses atomic.Int64
	run := func(pause func(context.Context) error) error {
		source := must[*Source](t)(NewSource(s.root(), SourceOptions{Codec: Zstd(), Pause: pause}))
		_, err := source.Run(t.Context(), func(context.Context, Item) error { return nil })
		return err
	}
	check(t, run(func(context.Context) error { pauses.Add(1); return nil }))
	if n := pauses.Load(); n < 6 { // five entries below the root, and a frame
		t.Errorf("%d pauses", n)
	}
	enough := errors.New("enough")
	if err := run(func(context.Context) error { return enough }); !errors.Is(err, enough) {
		t.Errorf("error = %v", err)
	}
}
