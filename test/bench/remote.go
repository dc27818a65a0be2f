package main

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/sitekeep/sitekeep/test/bed"
)

// remote is a private sshd on an address of its own, which plays the web
// server's part for rsync.
type remote struct {
	addr netip.AddrPort
	ssh  string // the command, for rsync -e
	pid  int
}

// openRemote starts the sshd when it is first asked for.
func (w *world) openRemote(ctx context.Context) (*remote, error) {
	if w.remote != nil {
		return w.remote, nil
	}
	dir := filepath.Join(w.bed.Dir(), "bench", "ssh")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	r := &remote{}
	var err error
	if r.addr, err = bed.FreePort(w.bed.IP()); err != nil {
		return nil, err
	}
	if err := r.lay(ctx, dir); err != nil {
		return nil, fmt.Errorf("sshd: %w", err)
	}
	p, err := w.bed.Run(ctx, bed.Service{
		Name: "sshd", Argv: []string{"/usr/sbin/sshd", "-D", "-e", "-f", filepath.Join(dir, "sshd_config")},
		Dir: dir, Stop: syscall.SIGTERM, Ready: bed.Dialer("tcp", r.addr.String()),
	})
	if err != nil {
		return nil, err
	}
	r.pid = p.Pid()
	w.remote = r
	return r, nil
}

// lay makes keys and both sides' configuration.
func (r *remote) lay(ctx context.Context, dir string) error {
	for _, key := range []string{"host", "user"} {
		keygen := tool(ctx, nil, "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", filepath.Join(dir, key))
		if out, err := keygen.CombinedOutput(); err != nil {
			return fmt.Errorf("ssh-keygen: %w: %s", err, out)
		}
	}
	host, err := os.ReadFile(filepath.Join(dir, "host.pub"))
	if err != nil {
		return err
	}
	known := fmt.Sprintf("[%s]:%d %s", r.addr.Addr(), r.addr.Port(), host)
	config := strings.NewReplacer("DIR", dir, "ADDRESS", r.addr.Addr().String(), "PORT", fmt.Sprint(r.addr.Port())).Replace(
		"ListenAddress ADDRESS\nPort PORT\nHostKey DIR/host\nAuthorizedKeysFile DIR/user.pub\nPidFile none\nStrictModes no\n" +
			"UsePAM no\nPasswordAuthentication no\nPermitRootLogin prohibit-password\nPrintMotd no\nLogLevel ERROR\n")
	if err := os.WriteFile(filepath.Join(dir, "known_hosts"), []byte(known), 0o600); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "sshd_config"), []byte(config), 0o600); err != nil {
		return err
	}
	// The directory that sshd's service would have made for its unprivileged half.
	if err := os.MkdirAll("/run/sshd", 0o755); err != nil {
		return err
	}
	r.ssh = fmt.Sprintf("ssh -F none -i %[1]s/user -o UserKnownHostsFile=%[1]s/known_hosts -o StrictHostKeyChecking=yes -o BatchMode=yes -p %d",
		dir, r.addr.Port())
	return nil
}

// path is a directory on the remote machine, as rsync names it.
func (r *remote) path(dir string) string { return fmt.Sprintf("root@%s:%s/", r.addr.Addr(), dir) }
