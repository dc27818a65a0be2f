package archive

import (
	"errors"
	"fmt"
	"io"
	"runtime"
	"sync"

	"golang.org/x/sys/unix"
)

const (
	// smallContent is up to which size a file is written by a goroutine of its own
	// while the tar stream goes on. Making a file costs more than its bytes then.
	smallContent = SmallFile
	// mostWriters bounds the memory of an extraction; more of them would wait for
	// the locks of the directories they write in.
	mostWriters = 4
)

// fileWriters make small files, several at the same time. Whoever puts in a file
// waits for the others where one of them could have to do with it.
type fileWriters struct {
	write   func(*smallFile) error
	todo    chan *smallFile
	free    chan *smallFile
	pending sync.WaitGroup // files that were put in
	running sync.WaitGroup // goroutines

	mu  sync.Mutex
	err error // the first one
}

// smallFile is a file that is to be made, and the directory for it, which is held.
type smallFile struct {
	level   *level
	name    string
	entry   Entry
	content []byte
}

func newFileWriters(write func(*smallFile) error) *fileWriters {
	n := min(runtime.GOMAXPROCS(0), mostWriters)
	w := &fileWriters{write: write, todo: make(chan *smallFile, n), free: make(chan *smallFile, 2*n+1)}
	for range cap(w.free) {
		w.free <- new(smallFile)
	}
	for range n {
		w.running.Go(w.work)
	}
	return w
}

func (w *fileWriters) work() {
	for f := range w.todo {
		if err := w.write(f); err != nil {
			w.fail(err)
		}
		w.free <- f
		w.pending.Done()
	}
}

func (w *fileWriters) fail(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err == nil {
		w.err = err
	}
}

// failed returns the first error so far.
func (w *fileWriters) failed() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.err
}

// put reads the content and lets a file be made. It returns an earlier file's
// error if there is one, and otherwise only an error of the content's reader.
func (w *fileWriters) put(l *level, name string, e *Entry, content io.Reader) error {
	f := <-w.free
	f.content = grow(f.content, smallContent)[:e.Size]
	_, err := io.ReadFull(content, f.content)
	if err == nil {
		err = w.failed()
	}
	if err != nil {
		w.free <- f
		return err
	}
	f.level, f.name, f.entry = l, name, *e
	l.holds.Add(1)
	w.pending.Add(1)
	w.todo <- f
	return nil
}

// wait waits until every file that was put in is made.
func (w *fileWriters) wait() error {
	w.pending.Wait()
	return w.failed()
}

// close waits and ends the goroutines.
func (w *fileWriters) close() error {
	close(w.todo)
	w.running.Wait()
	return w.failed()
}

// writeSmall makes a file that was put in, and gives its directory back.
func (x *extraction) writeSmall(f *smallFile) error {
	err := x.files.failed() // nothing more is to be made then
	if err == nil {
		err = x.create(&f.entry, f.level.fd, f.name, func(fd int) error { return writeAt(fd, f.content, 0, false) })
	}
	if x.opts.partial && errors.Is(err, unix.EEXIST) {
		err = nil
	}
	if err != nil {
		err = fmt.Errorf("%s %q: %w", f.entry.Type, f.entry.Name(), err)
	}
	if rerr := x.tree.release(f.level); err == nil {
		err = rerr
	}
	f.level = nil
	return err
}
