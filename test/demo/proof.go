package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/sitekeep/sitekeep/test/bed"
)

// plainTar extracts the tarball with nothing but GNU tar and compares it with the live site.
func (d *demo) plainTar(ctx context.Context) error {
	found, err := filepath.Glob(filepath.Join(d.master.DataDir, "store", "*", d.backup+".tar.zst"))
	if err != nil || len(found) != 1 {
		return fmt.Errorf("the store should have one tarball %s: %v, %w", d.backup, found, errors.Join(err))
	}
	to := filepath.Join(d.dir, "untarred")
	if err := os.Mkdir(to, 0o755); err != nil {
		return err
	}
	d.say("$ tar --zstd -xf %s", filepath.Base(found[0]))
	if out, err := exec.CommandContext(ctx, "tar", "--zstd", "-xpf", found[0], "-C", to).CombinedOutput(); err != nil {
		return fmt.Errorf("tar: %w: %s", err, out)
	}
	dump, err := os.Stat(filepath.Join(to, "database.sql"))
	if err != nil {
		return err
	}
	if err := os.Remove(filepath.Join(to, "database.sql")); err != nil {
		return err
	}
	if out, err := exec.CommandContext(ctx, "diff", "-r", "--no-dereference", d.site.Root, to).CombinedOutput(); err != nil {
		return fmt.Errorf("the extracted tree differs from the live one: %w: %s", err, out)
	}
	d.say("the tree is the live one, byte for byte; beside it database.sql, %s", size(dump.Size()))
	return os.RemoveAll(to)
}

// prove holds the site against what it was before the wreck, and looks for anything left behind.
func (d *demo) prove(ctx context.Context) error {
	config, err := d.site.ReadConfig()
	if err != nil {
		return err
	}
	d.site.Database, d.site.User, d.site.Password = config["DB_NAME"], config["DB_USER"], config["DB_PASSWORD"]
	after, err := d.site.Fingerprint(ctx)
	if err != nil {
		return err
	}
	if diff := d.before.Diff(after); diff != "" {
		return fmt.Errorf("the site is not what it was:\n%s", diff)
	}
	d.say("tree, tables and pages are what they were before the wreck")
	return d.nothingLeft(ctx)
}

func (d *demo) nothingLeft(ctx context.Context) error {
	now, err := d.takeInventory(ctx)
	if err != nil {
		return err
	}
	for _, added := range d.inventory.Added(now) {
		if !strings.Contains(added, d.site.Database) {
			return fmt.Errorf("left behind: %s", added)
		}
	}
	for _, name := range append(now.Databases, now.Users...) {
		if strings.HasSuffix(name, d.database) || strings.Contains(name, "'"+d.database+"'") {
			return fmt.Errorf("still there: %s", name)
		}
	}
	d.say("the old database %s and its user are gone; %s took their place", d.database, d.site.Database)
	d.say("no staging directory, no maintenance flag, no saved vhost is left")
	return nil
}

// keep leaves the stage to the audience.
func (d *demo) keep(ctx context.Context) error {
	fmt.Fprintf(d.out, `
Everything keeps running until you press Ctrl-C. Try:

    export SITEKEEP_DATA_DIR=%s
    export PATH=%s:$PATH
    curl -H 'Host: %s' http://%s/
    sitekeep site list
    sitekeep backup %s -m 'my first backup'
    sitekeep backups %s
    sitekeep ls latest wp-content --site %s
    sitekeep restore %s latest --dry-run
    sitekeep task list
`, d.master.DataDir, binDir(), siteName, d.web.Addr, siteName, siteName, siteName, siteName)
	<-ctx.Done()
	return nil
}

func binDir() string {
	bin, err := bed.Build()
	if err != nil {
		return "bin"
	}
	return filepath.Dir(bin.Master)
}

// size prints bytes as people read them.
func size(n int64) string {
	switch {
	case n < 1<<10:
		return fmt.Sprintf("%d B", n)
	case n < 1<<20:
		return fmt.Sprintf("%.1f KiB", float64(n)/(1<<10))
	}
	return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
}
