package webserver

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
)

const (
	confSuffix = ".conf"
	oldMark    = ".conf.sitekeep-old-"
	noneMark   = ".conf.sitekeep-none-"
	tempMark   = ".conf.sitekeep-tmp-"

	// keyFile holds the key under which environments are named.
	keyFile = "sitekeep.key"

	vhostMode = 0o644
	// secretMode is that of a virtual host with an environment: a web server
	// reads its configuration as root.
	secretMode = 0o600
	flagMode   = 0o600
)

// maxVhost bounds what is read of a virtual host, and of a flag.
const maxVhost = 1 << 20

// vhostDir is the directory of virtual hosts. Nothing outside it is reached,
// whatever a link in it says.
type vhostDir struct{ *os.Root }

// exists says whether a name is there; a link counts, wherever it leads.
func (d *vhostDir) exists(name string) (bool, error) {
	_, err := d.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// remove removes a file and is content when it is not there.
func (d *vhostDir) remove(name string) error {
	if err := d.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// read returns a regular file's bytes; what is larger than maxVhost is an error.
func (d *vhostDir) read(name string) ([]byte, error) {
	f, err := d.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return nil, errors.Join(err, fmt.Errorf("%s is not a regular file", name))
	}
	data, err := io.ReadAll(io.LimitReader(f, maxVhost+1))
	if err == nil && len(data) > maxVhost {
		err = fmt.Errorf("%s is larger than %d bytes", name, maxVhost)
	}
	return data, err
}

// replace makes name hold data, at once and durably, by way of temp.
func (d *vhostDir) replace(name, temp string, data []byte, mode fs.FileMode) error {
	if err := d.remove(temp); err != nil {
		return err
	}
	if err := d.writeNew(temp, data, mode); err != nil {
		return errors.Join(err, d.remove(temp))
	}
	if err := d.Rename(temp, name); err != nil {
		return errors.Join(err, d.remove(temp))
	}
	return d.sync()
}

// ensure makes a file that everybody may read hold data, and leaves one alone
// that does.
func (d *vhostDir) ensure(name string, data []byte) error {
	if now, err := d.read(name); err == nil && string(now) == string(data) {
		return nil
	}
	return d.replace(name, name+".sitekeep-tmp", data, vhostMode)
}

func (d *vhostDir) writeNew(name string, data []byte, mode fs.FileMode) error {
	f, err := d.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	return errors.Join(err, f.Chmod(mode), f.Sync(), f.Close())
}

// sync makes the names in the directory durable.
func (d *vhostDir) sync() error {
	f, err := d.Open(".")
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// save keeps what NAME.conf is now, or that it is absent, for the change
// token. What a first call has saved a second one leaves alone.
func (d *vhostDir) save(name, token string) error {
	if saved, err := d.saved(name, token); err != nil || saved != "" {
		return err
	}
	err := d.Link(name+confSuffix, name+oldMark+token)
	if errors.Is(err, fs.ErrNotExist) {
		err = d.writeNew(name+noneMark+token, nil, flagMode)
	}
	return errors.Join(err, d.sync())
}

// saved returns the file that tells what NAME.conf was, or "".
func (d *vhostDir) saved(name, token string) (string, error) {
	for _, mark := range []string{oldMark, noneMark} {
		if there, err := d.exists(name + mark + token); err != nil || there {
			return name + mark + token, err
		}
	}
	return "", nil
}

// putBack makes NAME.conf what it was before the change token: the very same
// file, or none. It keeps what was saved, so that it may be repeated.
func (d *vhostDir) putBack(name, token, saved string) error {
	if strings.HasPrefix(saved, name+noneMark) {
		return errors.Join(d.remove(name+confSuffix), d.sync())
	}
	temp := name + tempMark + token
	if err := d.remove(temp); err != nil {
		return err
	}
	if err := d.Link(saved, temp); err != nil {
		return err
	}
	// A rename onto another link to the same file does nothing at all; what is
	// left of temp then goes with forget.
	return errors.Join(d.Rename(temp, name+confSuffix), d.sync())
}

// forget removes what the change token has left beside NAME.conf.
func (d *vhostDir) forget(name, token string) error {
	return errors.Join(
		d.remove(name+tempMark+token),
		d.remove(name+oldMark+token),
		d.remove(name+noneMark+token),
		d.sync())
}

// names lists the directory.
func (d *vhostDir) names() ([]string, error) {
	f, err := d.Open(".")
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return f.Readdirnames(-1)
}
