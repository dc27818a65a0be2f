package store_test

import (
	"path/filepath"
	"testing"

	"github.com/sitekeep/sitekeep/internal/store"
	"github.com/sitekeep/sitekeep/internal/store/storetest"
)

func TestLocalIsAStore(t *testing.T) {
	storetest.Run(t, func(t *testing.T) storetest.Store {
		l, err := store.OpenLocal(filepath.Join(t.TempDir(), "store"), store.Options{})
		if err != nil {
			t.Fatal(err)
		}
		return l
	})
}
