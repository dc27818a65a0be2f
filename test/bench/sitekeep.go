package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os/exec"
	"strconv"
	"strings"

	"github.com/sitekeep/sitekeep/test/bed"
)

// sitekeep is our own side: a master, an agent beside the web server and one
// beside the database server, each on an address of its own.
type sitekeep struct {
	w       *world
	master  *bed.Master
	daemons []int
}

// openSitekeep starts all three and adds the site when it is first asked for.
func (w *world) openSitekeep(ctx context.Context) (*sitekeep, error) {
	if w.sitekeep != nil {
		return w.sitekeep, nil
	}
	master, err := w.bed.Master(ctx, "master")
	if err != nil {
		return nil, err
	}
	web, err := w.bed.Agent(ctx, master, "web1", bed.AgentOptions{Web: w.web})
	if err != nil {
		return nil, err
	}
	db, err := w.bed.Agent(ctx, master, "db1", bed.AgentOptions{DB: w.db})
	if err != nil {
		return nil, err
	}
	s := &sitekeep{w: w, master: master, daemons: []int{master.Pid(), web.Pid(), db.Pid()}}
	_, err = master.Run(ctx, "site", "add", w.domain, "--web", "web1", "--db", "db1", "--root", w.site,
		"--kind", "wordpress", "--database", benchDatabase, "--vhost", "managed")
	if err != nil {
		return nil, err
	}
	if _, err := master.Run(ctx, "site", "verify", w.domain); err != nil {
		return nil, err
	}
	w.sitekeep = s
	return s, s.served(ctx)
}

// run measures one of the operator's commands, daemons included.
func (s *sitekeep) run(ctx context.Context, m *meter, args ...string) error {
	if err := m.watch(s.daemons...); err != nil {
		return err
	}
	err := m.run(s.master.Command(ctx, args...))
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return fmt.Errorf("sitekeep %s: %w", strings.Join(args, " "), err)
	}
	return err
}

func (s *sitekeep) backup(ctx context.Context, m *meter) error {
	return s.run(ctx, m, "backup", s.w.domain, "--full", "-m", "bench")
}

// newest is the last backup's id and size.
func (s *sitekeep) newest(ctx context.Context) (id string, size int64, err error) {
	out, err := s.master.Run(ctx, "backups", s.w.domain, "-o", "json")
	if err != nil {
		return "", 0, err
	}
	// In protobuf's JSON a 64-bit number is a string.
	var backups []struct {
		ID   string          `json:"id"`
		Size json.RawMessage `json:"size"`
	}
	if err := json.Unmarshal([]byte(out), &backups); err != nil {
		return "", 0, fmt.Errorf("backups -o json: %w: %.200s", err, out)
	}
	if len(backups) == 0 {
		return "", 0, errors.New("no backup is listed")
	}
	size, err = strconv.ParseInt(strings.Trim(string(backups[0].Size), `"`), 10, 64)
	if err != nil {
		return "", 0, fmt.Errorf("backups -o json: size: %w", err)
	}
	return backups[0].ID, size, nil
}

// checked reads the newest backup through and says how large it is.
func (s *sitekeep) checked(ctx context.Context) (int64, error) {
	id, size, err := s.newest(ctx)
	if err != nil {
		return 0, err
	}
	_, err = s.master.Run(ctx, "check", id)
	return size, err
}

// served looks whether the site's page comes out of its database.
func (s *sitekeep) served(ctx context.Context) error {
	res, err := s.w.web.Get(ctx, s.w.domain, "/")
	if err != nil {
		return err
	}
	if res.Status != http.StatusOK || res.Body != fmt.Sprintf("posts: %d\n", corpusPosts) {
		return fmt.Errorf("the site's page: status %d: %.200s", res.Status, res.Body)
	}
	return nil
}
