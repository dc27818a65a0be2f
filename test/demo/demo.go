package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/sitekeep/sitekeep/test/bed"
)

const (
	siteName = "garden.example"
	reason   = "before the spring clean"
)

// demo is the stage: its parts and where it tells the story.
type demo struct {
	out io.Writer
	dir string

	bed    *bed.Bed
	db     *bed.MariaDB
	web    *bed.Web
	master *bed.Master
	agents []*bed.Agent
	site   *bed.WordPress

	before    *bed.Fingerprint
	inventory *bed.Inventory
	backup    string
	database  string // the one that the restore replaced
	step      int
}

func (d *demo) play(ctx context.Context, log io.Writer) (err error) {
	d.bed, err = bed.Start(ctx, filepath.Join(d.dir, "bed"), log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.bed.Close()) }()
	for _, act := range []struct {
		title string
		do    func(context.Context) error
	}{
		{"A web server (nginx, php-fpm) and a database server (MariaDB), each on its own address", d.servers},
		{"A real WordPress on them: posts, uploads, a theme", d.wordpress},
		{"The master: a certificate authority, a catalogue, a store", d.startMaster},
		{"An agent on each server: it joins once, with a single-use token, over mutual TLS", d.startAgents},
		{"The site comes under care: found, recorded, its virtual host written", d.addSite},
		{"A backup", d.makeBackup},
		{"It is a plain tarball: GNU tar alone reads it", d.plainTar},
		{"A wreck: tables dropped, uploads deleted, theme scribbled over, wp-config.php broken", d.wreck},
		{"The restore", d.restore},
		{"The proof", d.prove},
	} {
		if err := d.act(ctx, act.title, act.do); err != nil {
			return fmt.Errorf("%s: %w", act.title, err)
		}
	}
	if os.Getenv("KEEP") == "1" {
		return d.keep(ctx)
	}
	fmt.Fprintln(d.out, "\nAll of it is the same again. Try it yourself: make demo KEEP=1")
	return nil
}

func (d *demo) act(ctx context.Context, title string, do func(context.Context) error) error {
	d.step++
	fmt.Fprintf(d.out, "\n%2d. %s\n", d.step, title)
	began := time.Now()
	err := do(ctx)
	if err == nil {
		fmt.Fprintf(d.out, "    (%.1f s)\n", time.Since(began).Seconds())
	}
	return err
}

func (d *demo) say(format string, args ...any) { fmt.Fprintf(d.out, "    "+format+"\n", args...) }

// sitekeep runs an operator's command and shows it with what it says.
func (d *demo) sitekeep(ctx context.Context, args ...string) (string, error) {
	d.say("$ sitekeep %s", shell(args))
	r, err := d.master.CLI(ctx, args...)
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(r.Stderr + r.Stdout) {
		d.say("  %s", strings.TrimRight(line, "\n"))
	}
	if r.Code != 0 && r.Code != 6 {
		return "", fmt.Errorf("exit status %d", r.Code)
	}
	return strings.TrimSpace(r.Stdout), nil
}

func shell(args []string) string {
	out := make([]string, len(args))
	for i, a := range args {
		if strings.ContainsAny(a, " '\"") {
			a = "'" + strings.ReplaceAll(a, "'", `'\''`) + "'"
		}
		out[i] = a
	}
	return strings.Join(out, " ")
}

func (d *demo) servers(ctx context.Context) (err error) {
	if d.db, err = d.bed.MariaDB(ctx, "db1"); err != nil {
		return err
	}
	if d.web, err = d.bed.Web(ctx, "web1"); err != nil {
		return err
	}
	d.say("db1   MariaDB on %s", d.db.Addr)
	d.say("web1  nginx on %s", d.web.Addr)
	return nil
}

func (d *demo) wordpress(ctx context.Context) (err error) {
	if d.site, err = d.bed.WordPress(ctx, d.web, d.db, siteName); err != nil {
		return err
	}
	files, bytes, err := measure(d.site.Root)
	d.say("%s in %s: %d files, %s; database %s", siteName, d.site.Root, files, size(bytes), d.site.Database)
	return err
}

func measure(root string) (files int, bytes int64, err error) {
	err = filepath.WalkDir(root, func(_ string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		info, err := e.Info()
		if err == nil {
			files++
			bytes += info.Size()
		}
		return err
	})
	return files, bytes, err
}

func (d *demo) startMaster(ctx context.Context) (err error) {
	if d.master, err = d.bed.Master(ctx, "master"); err != nil {
		return err
	}
	d.say("the master serves on %s, its data lies in %s", d.master.Addr, d.master.DataDir)
	return nil
}

func (d *demo) startAgents(ctx context.Context) error {
	web, err := d.bed.Agent(ctx, d.master, "web1", bed.AgentOptions{Web: d.web})
	if err != nil {
		return err
	}
	db, err := d.bed.Agent(ctx, d.master, "db1", bed.AgentOptions{DB: d.db})
	if err != nil {
		return err
	}
	d.agents = []*bed.Agent{web, db}
	_, err = d.sitekeep(ctx, "server", "list")
	return err
}

func (d *demo) addSite(ctx context.Context) error {
	if _, err := d.sitekeep(ctx, "site", "add", siteName, "--web", "web1", "--db", "db1", "--root", d.site.Root); err != nil {
		return err
	}
	if err := d.site.RemoveVhost(ctx); err != nil { // from here on the managed one serves the site
		return err
	}
	if _, err := d.sitekeep(ctx, "site", "verify", siteName); err != nil {
		return err
	}
	return d.site.CheckPages(ctx)
}

func (d *demo) makeBackup(ctx context.Context) (err error) {
	if d.before, err = d.site.Fingerprint(ctx); err != nil {
		return err
	}
	if d.inventory, err = d.takeInventory(ctx); err != nil {
		return err
	}
	if d.backup, err = d.sitekeep(ctx, "backup", siteName, "-m", reason); err != nil {
		return err
	}
	_, err = d.sitekeep(ctx, "backups", siteName)
	return err
}

func (d *demo) takeInventory(ctx context.Context) (*bed.Inventory, error) {
	return bed.TakeInventory(ctx, []*bed.MariaDB{d.db}, []*bed.Web{d.web})
}

func (d *demo) wreck(ctx context.Context) error {
	d.database = d.site.Database
	if err := d.site.Wreck(ctx); err != nil {
		return err
	}
	page, err := d.web.Get(ctx, siteName, "/")
	if err != nil {
		return err
	}
	d.say("http://%s/ answers %d now", siteName, page.Status)
	return nil
}

func (d *demo) restore(ctx context.Context) error {
	if _, err := d.sitekeep(ctx, "restore", siteName, d.backup, "--dry-run"); err != nil {
		return err
	}
	if _, err := d.sitekeep(ctx, "restore", siteName, d.backup, "--yes", "--grace", "0s"); err != nil {
		return err
	}
	_, err := d.sitekeep(ctx, "backups", siteName)
	return err
}
