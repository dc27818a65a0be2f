package master

import (
	"context"
	"errors"
	"path/filepath"

	"github.com/sitekeep/sitekeep/internal/backup"
	"github.com/sitekeep/sitekeep/internal/catalogue"
	"github.com/sitekeep/sitekeep/internal/model"
	"github.com/sitekeep/sitekeep/internal/store"
)

// Rebuild lists in the catalogue of a data directory what its store has and it does not; see backup.Rebuild. No master
// may run there: with a catalogue that was lost none starts.
func Rebuild(ctx context.Context, dir string, added func(model.Backup)) (out backup.Rebuilt, err error) {
	config, err := Load(dir)
	if err != nil {
		return out, err
	}
	lock, err := store.LockDir(dir)
	if err != nil {
		return out, err
	}
	defer func() { err = errors.Join(err, lock.Release()) }()
	book, err := catalogue.Open(ctx, filepath.Join(dir, catalogueName))
	if err != nil {
		return out, err
	}
	defer func() { err = errors.Join(err, book.Close()) }()
	shelf, err := store.OpenLocal(filepath.Join(dir, storeDir), store.Options{Reserve: config.Reserve})
	if err != nil {
		return out, err
	}
	return backup.Rebuild(ctx, book, shelf, added)
}
