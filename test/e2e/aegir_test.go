//go:build integration

package e2e_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"

	"github.com/sitekeep/sitekeep/test/bed"
)

// leastDump is from what size on Aegir believes in a dump, in bytes.
const leastDump = 1 << 10

// aegirName is how Aegir's backups are called: uri, date, and a number after a clash.
var aegirName = regexp.MustCompile(`^[a-z0-9.-]+-\d{8}\.\d{6}(_\d+)?\.tar\.gz$`)

// fitsAegir checks a .tar.gz against what provision-deploy of Aegir (7.x-3.x) wants: its name, names that begin with ./, one
// plain database.sql at the root that imports under any name, directories that their owner may write, and that GNU tar
// and gzip read it as somebody who is not root.
func (s *stage) fitsAegir(b backupInfo) {
	s.t.Helper()
	path := s.tarball(b.ID)
	if !aegirName.MatchString(filepath.Base(path)) {
		s.t.Errorf("Aegir would not know %s for a backup", filepath.Base(path))
	}
	packed := bed.Must(os.ReadFile(path))(s.t)
	plain := bed.Must(gzip.NewReader(bytes.NewReader(packed)))(s.t)
	dumps := 0
	for t := tar.NewReader(plain); ; {
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		s.must(err)
		switch {
		case !strings.HasPrefix(h.Name, "./"):
			s.t.Errorf("the name %q does not begin with ./", h.Name)
		case h.Typeflag == tar.TypeDir && h.Mode&0o200 == 0:
			s.t.Errorf("the owner of the directory %s may not write it: %04o", h.Name, h.Mode)
		case h.Name == "./database.sql":
			dumps++
			s.aegirImports(h, bed.Must(io.ReadAll(t))(s.t))
		}
	}
	if dumps != 1 {
		s.t.Errorf("there are %d dumps in the tarball", dumps)
	}
	s.unpackedByNobody(packed)
}

// notOfOneDatabase begins what a dump must not have for Aegir: a definer stands in the statement that it belongs to.
var notOfOneDatabase = regexp.MustCompile(`(?mi)^(CREATE DATABASE|USE |DROP DATABASE|SET @@GLOBAL.GTID|SET @@SESSION.SQL_LOG_BIN|(/\*!\d+ )?CREATE(\*/)?( /\*!\d+)? DEFINER=).*$`)

func (s *stage) aegirImports(h *tar.Header, sql []byte) {
	s.t.Helper()
	if h.Typeflag != tar.TypeReg || h.Mode != 0o600 || len(sql) < leastDump {
		s.t.Errorf("database.sql has type %q, mode %04o and %d bytes", h.Typeflag, h.Mode, len(sql))
	}
	if line := notOfOneDatabase.Find(sql); line != nil {
		s.t.Errorf("the dump has %q", line)
	}
	if !regexp.MustCompile(`TRIGGER\W+t_one`).Match(sql) {
		s.t.Error("the dump lacks the trigger, whose definer it must not have")
	}
}

// unpackedByNobody has tar unpack it as Aegir's user would.
func (s *stage) unpackedByNobody(packed []byte) {
	s.t.Helper()
	dir := s.untarAsNobody(packed)
	live, got := bed.Must(os.ReadFile(filepath.Join(s.site.Root, "wp-config.php")))(s.t), bed.Must(os.ReadFile(filepath.Join(dir, "wp-config.php")))(s.t)
	if !bytes.Equal(live, got) {
		s.t.Error("the settings are not what they were")
	}
}

// untarAsNobody unpacks into a new directory.
func (s *stage) untarAsNobody(packed []byte) string {
	s.t.Helper()
	dir := bed.Must(os.MkdirTemp(s.Dir(), "aegir"))(s.t)
	s.must(os.Chown(dir, nobody, nobody))
	s.asNobody(dir, packed, "tar", "-xpzf", "-")
	return dir
}

const nobody = 65534

// asNobody runs a command that must end with 0 and say nothing.
func (s *stage) asNobody(dir string, input []byte, argv ...string) {
	s.t.Helper()
	cmd := exec.CommandContext(s.t.Context(), argv[0], argv[1:]...)
	cmd.Dir, cmd.Stdin = dir, bytes.NewReader(input)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 {
		s.t.Errorf("%s: %v: %s", cmd, err, out)
	}
}
