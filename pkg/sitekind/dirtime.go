package sitekind

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"
)

// timeNote is the file in a notes directory that has the time of a directory
// while something in it changes.
const timeNote = ".directory-time"

// notedTime is what the file holds. The name is bytes: it need not be UTF-8.
type notedTime struct {
	Directory   []byte `json:"directory"` // relative to its root
	Nanoseconds int64  `json:"nanoseconds"`
}

// KeepTime changes something in a directory of root and brings back the
// directory's time of modification, on stable storage. Notes is a directory
// outside of root that only the caller uses, and at most one call at a time:
// there the time outlives a crash, and the next KeepTime or SettleTime with the
// same directories brings it back. With nil notes it does not.
func KeepTime(root, notes *os.Root, dir string, change func() error) error {
	if err := SettleTime(root, notes); err != nil {
		return err
	}
	info, err := root.Stat(dir)
	if err != nil {
		return lookup(dir, err)
	}
	if notes != nil {
		if err := writeNote(notes, notedTime{[]byte(dir), info.ModTime().UnixNano()}); err != nil {
			return fmt.Errorf("note the time of directory %s: %w", dir, err)
		}
	}
	err = change()
	kept := errors.Join(root.Chtimes(dir, time.Time{}, info.ModTime()), syncDirectory(root, dir))
	if kept == nil && notes != nil {
		kept = forgetNote(notes)
	}
	return errors.Join(err, kept)
}

// SettleTime brings back what a KeepTime that died has noted; without a note
// it does nothing. A directory that is gone needs no time.
func SettleTime(root, notes *os.Root) error {
	if notes == nil {
		return nil
	}
	text, err := notes.ReadFile(timeNote)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	var n notedTime
	if err == nil && json.Unmarshal(text, &n) == nil { // nothing was changed after a note that was torn
		err = root.Chtimes(string(n.Directory), time.Time{}, time.Unix(0, n.Nanoseconds))
	}
	if err == nil || errors.Is(err, fs.ErrNotExist) {
		err = forgetNote(notes)
	}
	if err != nil {
		return fmt.Errorf("bring back the time of a directory: %w", err)
	}
	return nil
}

// writeNote writes the note and its name durably.
func writeNote(notes *os.Root, n notedTime) error {
	text, err := json.Marshal(n)
	if err != nil {
		return err
	}
	f, err := notes.OpenFile(timeNote, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return syncDirectory(notes, ".")
}

func forgetNote(notes *os.Root) error {
	if err := notes.Remove(timeNote); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
