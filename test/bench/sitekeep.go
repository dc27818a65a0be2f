package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os/exec"
	"strings"

	"github.com/sitekeep/sitekeep/test/bed"
)

// sitekeep is our own side: a master, an agent beside the web server and one
// beside the database server, each on an address of its own.
type sitekeep struct {
	w       *world
	master  *bed.Master
	web, db *bed.Agent
}

// openSitekeep starts the one that most rows share, and adds the site, when it
// is first asked for.
func (w *world) openSitekeep(ctx context.Context) (*sitekeep, error) {
	if w.sitekeep != nil {
		return w.sitekeep, nil
	}
	s, err := w.newSitekeep(ctx, "main")
	if err != nil {
		return nil, err
	}
	err = s.add(ctx, w.domain, "--db", server(s.db), "--root", w.site, "--kind", "wordpress", "--database", benchDatabase, "--vhost", "managed")
	if err != nil {
		return nil, err
	}
	if _, err := s.master.Run(ctx, "site", "verify", w.domain); err != nil {
		return nil, err
	}
	// The same directory twice more, without its database.
	if err := s.addFiles(ctx, w.files, w.site); err != nil {
		return nil, err
	}
	if err := s.add(ctx, w.static, "--root", w.site, "--kind", "generic", "--vhost", "managed"); err != nil {
		return nil, err
	}
	if _, err := s.master.Run(ctx, "site", "verify", w.static); err != nil {
		return nil, err
	}
	w.sitekeep = s
	return s, s.served(ctx)
}

// newSitekeep starts a master and two agents; the part's name is in theirs. Their backups give way only where that is
// what is measured: else everything that runs here, the peers' work on the database server too, would be a visitor.
func (w *world) newSitekeep(ctx context.Context, part string) (*sitekeep, error) {
	s, hurried := &sitekeep{w: w}, part != liveSitekeep
	var err error
	if s.master, err = w.bed.Master(ctx, part+"-master"); err != nil {
		return nil, err
	}
	if s.web, err = w.bed.Agent(ctx, s.master, part+"-web", bed.AgentOptions{Web: w.web, Hurried: hurried}); err != nil {
		return nil, err
	}
	s.db, err = w.bed.Agent(ctx, s.master, part+"-db", bed.AgentOptions{DB: w.db, Hurried: hurried})
	return s, err
}

// server is the name that the master has for an agent.
func server(a *bed.Agent) string { return strings.TrimPrefix(a.Name(), "agent-") }

// add puts a site under care; warnings are not minded.
func (s *sitekeep) add(ctx context.Context, name string, args ...string) error {
	r, err := s.master.CLI(ctx, append([]string{"site", "add", name, "--web", server(s.web)}, args...)...)
	if err == nil && r.Code != 0 && r.Code != exitWarnings {
		err = fmt.Errorf("site add %s: %s", name, r)
	}
	return err
}

// exitWarnings is the status of a command that did its work and has to say
// something (docs: commands).
const exitWarnings = 6

// addFiles puts a directory under care as a site without a database.
func (s *sitekeep) addFiles(ctx context.Context, name, root string) error {
	return s.add(ctx, name, "--root", root, "--kind", "generic", "--vhost", "external")
}

// stop ends the master and its agents; the bed would, but not before its end.
func (s *sitekeep) stop() error {
	return errors.Join(s.master.Stop(), s.web.Stop(), s.db.Stop())
}

// restart makes three new processes, which have no memory of what went before.
func (s *sitekeep) restart(ctx context.Context) error {
	return errors.Join(s.stop(), s.master.Start(ctx), s.web.Start(ctx), s.db.Start(ctx))
}

// run measures one of the operator's commands, daemons included.
func (s *sitekeep) run(ctx context.Context, m *meter, args ...string) error {
	err := m.watch(daemon{pid: s.master.Pid(), label: "master"}, daemon{pid: s.web.Pid(), label: "web agent"},
		daemon{pid: s.db.Pid(), label: "db agent"})
	if err != nil {
		return err
	}
	err = m.run(s.master.Command(ctx, args...))
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return fmt.Errorf("sitekeep %s: %w", strings.Join(args, " "), err)
	}
	return err
}

// backup makes a backup that takes over what did not change.
func (s *sitekeep) backup(ctx context.Context, m *meter, site string) error {
	return s.run(ctx, m, "backup", site, "-m", "bench")
}

// backupFull reads and sends everything.
func (s *sitekeep) backupFull(ctx context.Context, m *meter, site string) error {
	return s.run(ctx, m, "backup", site, "--full", "-m", "bench")
}

// made is one backup in the commands' JSON.
type made struct {
	ID       string `json:"id"`
	Size     int64  `json:"size"`
	NewBytes int64  `json:"new_bytes"`
}

// newest is the last backup of a site.
func (s *sitekeep) newest(ctx context.Context, site string) (made, error) {
	var list []made
	if err := s.json(ctx, &list, "backups", site); err != nil {
		return made{}, err
	}
	if len(list) == 0 {
		return made{}, fmt.Errorf("no backup of %s is listed", site)
	}
	return list[0], nil
}

// downtime is what the last task of a site says of it, in seconds.
func (s *sitekeep) downtime(ctx context.Context, site string) (float64, error) {
	var list []struct {
		Downtime float64 `json:"downtime_ms"`
	}
	if err := s.json(ctx, &list, "task", "list", site); err != nil {
		return 0, err
	}
	if len(list) == 0 || list[0].Downtime == 0 {
		return 0, fmt.Errorf("the last task of %s names no downtime", site)
	}
	return list[0].Downtime / 1e3, nil
}

func (s *sitekeep) json(ctx context.Context, into any, args ...string) error {
	out, err := s.master.Run(ctx, append(args, "-o", "json")...)
	if err != nil {
		return err
	}
	if err := json.Unmarshal([]byte(out), into); err != nil {
		return fmt.Errorf("%s -o json: %w: %.200s", strings.Join(args, " "), err, out)
	}
	return nil
}

// checked reads the newest backup through and notes what it came to.
func (s *sitekeep) checked(ctx context.Context, m *meter, site string) error {
	b, err := s.newest(ctx, site)
	if err != nil {
		return err
	}
	m.note(archiveMB, megabytes(b.Size))
	m.note("new MB", megabytes(b.NewBytes))
	if spent, ok := m.figures["master CPU s"]; ok {
		m.note(masterCPU, spent/(float64(b.Size)/1e9))
	}
	_, err = s.master.Run(ctx, "check", b.ID)
	return err
}

// masterCPU is the master's time on the CPU for each GB of tarball.
const masterCPU = "master CPU s/GB"

// forget deletes all backups of a site but the newest.
func (s *sitekeep) forget(ctx context.Context, site string) error {
	var list []made
	if err := s.json(ctx, &list, "backups", site); err != nil {
		return err
	}
	for _, b := range list[min(1, len(list)):] {
		if _, err := s.master.CLI(ctx, "unpin", b.ID); err != nil {
			return err
		}
		if _, err := s.master.CLI(ctx, "delete", b.ID, "--yes"); err != nil {
			return err
		}
	}
	return nil
}

// backupSide backs a site up, anew or taking over.
func (s *sitekeep) backupSide(site string, backup func(context.Context, *meter, string) error) *side {
	return &side{
		work:  func(ctx context.Context, m *meter) error { return backup(ctx, m, site) },
		check: func(ctx context.Context, m *meter) error { return s.checked(ctx, m, site) },
	}
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
