// Package link connects an agent with its master: it joins with a token, keeps
// the certificate fresh, and lets a gRPC server answer the master, on an
// address of its own or over a connection that the agent dials. It refuses to
// know what is served.
package link

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/google/renameio/v2"
	"golang.org/x/sys/unix"

	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/internal/model"
)

// DefaultPort is where agents listen unless told otherwise.
const DefaultPort = "7441"

const (
	joinedFile    = "joined.json"
	lockFile      = "lock"
	joinedVersion = 1
)

// Joined is what an agent keeps of its joining beside its identity.
type Joined struct {
	// Roles are what the master's token was for.
	Roles []model.Role
	// Listen is host:port; empty with DialOut.
	Listen string
	// DialOut says that the agent dials the master and serves over that connection.
	DialOut bool
}

type joinedJSON struct {
	Version int          `json:"version"`
	Roles   []model.Role `json:"roles"`
	Listen  string       `json:"listen,omitempty"`
	DialOut bool         `json:"dial_out,omitempty"`
}

// LoadJoined reads what Join has kept. If there is none it is errs.NotFound.
func LoadJoined(dataDir string) (Joined, error) {
	path := filepath.Join(dataDir, joinedFile)
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return Joined{}, errs.New(errs.NotFound, "join the master with: sitekeep-agent join --token T", "this agent has not joined a master: there is no %s", path)
	}
	if err != nil {
		return Joined{}, fmt.Errorf("joined master: %w", err)
	}
	var j joinedJSON
	if err := json.Unmarshal(text, &j); err != nil || j.Version != joinedVersion {
		return Joined{}, errs.New(errs.Corrupt, "join again with a new token: sitekeep-agent join --replace --token T", "%s cannot be read: %w", path, cmp(err, j.Version))
	}
	return Joined{Roles: j.Roles, Listen: j.Listen, DialOut: j.DialOut}, nil
}

func cmp(err error, version int) error {
	if err != nil {
		return err
	}
	return fmt.Errorf("it is of version %d", version)
}

func saveJoined(dataDir string, j Joined) error {
	text, err := json.Marshal(joinedJSON{Version: joinedVersion, Roles: j.Roles, Listen: j.Listen, DialOut: j.DialOut})
	if err != nil {
		return err
	}
	return writeFile(filepath.Join(dataDir, joinedFile), append(text, '\n'), 0o600)
}

// writeFile puts a whole file in place, or leaves what was there.
func writeFile(path string, text []byte, mode os.FileMode) error {
	if err := renameio.WriteFile(path, text, mode); err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// Lock makes sure that one process alone serves from a data directory. The
// lock goes with the process, or with release.
func Lock(dataDir string) (release func(), err error) {
	f, err := os.OpenFile(filepath.Join(dataDir, lockFile), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("data directory: %w", err)
	}
	if !flock(f) {
		_ = f.Close()
		return nil, errs.New(errs.Precondition, "end the other one first, or give this one a data directory of its own",
			"another sitekeep-agent works in %s", dataDir)
	}
	return func() { _ = f.Close() }, nil
}

// lockPatience is for what a killed agent leaves: a command that it was about to run has its descriptors until it runs.
const lockPatience = 2 * time.Second

func flock(f *os.File) bool {
	for until := time.Now().Add(lockPatience); ; time.Sleep(20 * time.Millisecond) {
		if unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) == nil {
			return true
		}
		if time.Now().After(until) {
			return false
		}
	}
}
