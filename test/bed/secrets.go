package bed

import (
	"bytes"
	"errors"
	"fmt"
	"hash/maphash"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
)

// Watcher remembers the arguments and the environment of every process that
// ran on this machine while it watched, as often as /proc can be read. It
// remembers all, so that a secret that is made during the watch can be looked
// for afterwards.
type Watcher struct {
	stop   chan struct{}
	done   chan struct{}
	once   sync.Once
	seed   maphash.Seed
	seen   map[uint64]sighting
	rounds int
}

type sighting struct {
	pid  int
	file string // cmdline or environ
	text []byte
}

// WatchProcesses starts to watch; the caller calls [Watcher.Stop].
func WatchProcesses() *Watcher {
	w := &Watcher{stop: make(chan struct{}), done: make(chan struct{}), seed: maphash.MakeSeed(), seen: map[uint64]sighting{}}
	go w.watch()
	return w
}

func (w *Watcher) watch() {
	defer close(w.done)
	for {
		w.round()
		w.rounds++
		select {
		case <-w.stop:
			return
		default:
		}
	}
}

// round reads what each process shows; one that ended meanwhile shows nothing.
func (w *Watcher) round() {
	dir, err := os.Open("/proc")
	if err != nil {
		return
	}
	defer func() { _ = dir.Close() }()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return
	}
	for _, name := range names {
		pid, err := strconv.Atoi(name)
		if err != nil || pid == os.Getpid() {
			continue
		}
		for _, file := range []string{"cmdline", "environ"} {
			text, err := os.ReadFile("/proc/" + name + "/" + file)
			if err == nil && len(text) > 0 {
				w.remember(pid, file, text)
			}
		}
	}
}

func (w *Watcher) remember(pid int, file string, text []byte) {
	key := maphash.Bytes(w.seed, text)
	if _, there := w.seen[key]; !there {
		w.seen[key] = sighting{pid: pid, file: file, text: text}
	}
}

// Stop ends the watch, after a last look, and says how often all of /proc was
// read. It may be called twice.
func (w *Watcher) Stop() int {
	w.once.Do(func() { close(w.stop) })
	<-w.done
	return w.rounds
}

// Find lists where any of the secrets was seen, without showing it. The watch
// must have been stopped.
func (w *Watcher) Find(secrets ...string) []string {
	var found []string
	for _, s := range w.seen {
		for i, secret := range secrets {
			if bytes.Contains(s.text, []byte(secret)) {
				program, _, _ := bytes.Cut(s.text, []byte{0})
				if s.file == "environ" {
					program = []byte("its environment")
				}
				found = append(found, fmt.Sprintf("secret %d in %s of process %d (%s)", i, s.file, s.pid, program))
			}
		}
	}
	return found
}

// FindInFiles lists the files below the given paths that hold any of the
// secrets as plain bytes, without showing it. What has a base name of skip is
// left out, with all below it; a path that does not exist is an error.
func FindInFiles(secrets, skip []string, roots ...string) ([]string, error) {
	var found []string
	for _, root := range roots {
		err := filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
			switch {
			case errors.Is(err, fs.ErrNotExist) && path != root:
				return nil // it went while we looked
			case err != nil:
				return err
			case slices.Contains(skip, e.Name()) && e.IsDir():
				return fs.SkipDir
			case slices.Contains(skip, e.Name()) || !e.Type().IsRegular():
				return nil
			}
			hits, err := findInFile(path, secrets)
			found = append(found, hits...)
			return err
		})
		if err != nil {
			return nil, fmt.Errorf("look for secrets: %w", err)
		}
	}
	return found, nil
}

func findInFile(path string, secrets []string) ([]string, error) {
	text, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var found []string
	for i, s := range secrets {
		if bytes.Contains(text, []byte(s)) {
			found = append(found, fmt.Sprintf("secret %d in %s", i, path))
		}
	}
	return found, nil
}
