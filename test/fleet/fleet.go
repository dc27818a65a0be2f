// Package fleet makes many small sites on many agents of one machine, has a
// master back all of them up, kills it meanwhile if asked to, and says what is
// not as it should be. It uses nothing but the two programs.
package fleet

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/sitekeep/sitekeep/test/bed"
)

// Options say how large a fleet is.
type Options struct {
	Agents int // of web servers; one more is the database server's
	Sites  int // in all
	// DB and Web are used if they are there already; else they are made.
	DB  *bed.MariaDB
	Web *bed.Web
}

// Fleet is sites under care: generic ones of a few files and a database each,
// all databases in one server.
type Fleet struct {
	Master *bed.Master
	DB     *bed.MariaDB
	Web    *bed.Web
	Agents []*bed.Agent // the database server's last
	Sites  []string
}

const (
	filesOfSite = 12
	rowsOfSite  = 50
	dbServer    = "fleetdb"
)

// New makes a fleet in a bed; the bed ends it.
func New(ctx context.Context, b *bed.Bed, o Options) (f *Fleet, err error) {
	f = &Fleet{DB: o.DB, Web: o.Web}
	if f.DB == nil {
		if f.DB, err = b.MariaDB(ctx, dbServer); err != nil {
			return nil, err
		}
	}
	if f.Web == nil {
		if f.Web, err = b.Web(ctx, "fleetweb"); err != nil {
			return nil, err
		}
	}
	if f.Master, err = b.Master(ctx, "fleet-master"); err != nil {
		return nil, err
	}
	if err := f.join(ctx, b, o.Agents); err != nil {
		return nil, err
	}
	return f, f.settle(ctx, o)
}

// join starts the agents, a few at a time.
func (f *Fleet) join(ctx context.Context, b *bed.Bed, agents int) error {
	f.Agents = make([]*bed.Agent, agents+1)
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(4)
	for i := range agents {
		g.Go(func() (err error) {
			f.Agents[i], err = b.Agent(context.WithoutCancel(ctx), f.Master, webServer(i), bed.AgentOptions{Web: f.Web})
			return err
		})
	}
	g.Go(func() (err error) {
		f.Agents[agents], err = b.Agent(context.WithoutCancel(ctx), f.Master, dbServer, bed.AgentOptions{DB: f.DB})
		return err
	})
	return g.Wait()
}

func webServer(i int) string { return fmt.Sprintf("fleet%02d", i) }

// settle makes the sites and puts them under care, all at once.
func (f *Fleet) settle(ctx context.Context, o Options) error {
	var doc strings.Builder
	for i := range o.Sites {
		name, server := fmt.Sprintf("s%03d.fleet.example", i), webServer(i%o.Agents)
		root := filepath.Join(f.Web.Root, server, name)
		if err := errors.Join(f.fill(root, i), f.table(ctx, i)); err != nil {
			return fmt.Errorf("make %s: %w", name, err)
		}
		fmt.Fprintf(&doc, "---\napiVersion: sitekeep/v1\nkind: Site\nname: %s\nspec: {kind: generic, webServers: [%s], dbServer: %s, database: %s, root: %s, vhost: external, client: client%d}\n",
			name, server, dbServer, database(i), root, i%7)
		f.Sites = append(f.Sites, name)
	}
	path := filepath.Join(filepath.Dir(f.Master.DataDir), "fleet.yaml")
	if err := os.WriteFile(path, []byte(doc.String()), 0o600); err != nil {
		return err
	}
	r, err := f.Master.CLI(ctx, "apply", "-f", path)
	if err == nil && r.Code != 0 && r.Code != exitWarnings {
		err = fmt.Errorf("apply: %s", r)
	}
	return err
}

// exitWarnings is the status of a command that did its work and has to say something.
const exitWarnings = 6

func database(i int) string { return fmt.Sprintf("fleet_%03d", i) }

func (f *Fleet) fill(root string, site int) error {
	if err := os.MkdirAll(filepath.Join(root, "files"), 0o755); err != nil {
		return err
	}
	for n := range filesOfSite {
		text := strings.Repeat(fmt.Sprintf("<?php // file %d of site %d\n", n, site), 1+40*n)
		if err := os.WriteFile(filepath.Join(root, "files", fmt.Sprintf("f%02d.php", n)), []byte(text), 0o644); err != nil {
			return err
		}
	}
	return nil
}

func (f *Fleet) table(ctx context.Context, site int) error {
	in := bed.Ident(database(site))
	rows := make([]string, rowsOfSite)
	for n := range rows {
		rows[n] = fmt.Sprintf("(%d, 'row %d of site %d')", n, n, site)
	}
	return f.DB.Exec(ctx, "CREATE DATABASE "+in, "CREATE TABLE "+in+".posts (id INT PRIMARY KEY, body TEXT)",
		"INSERT INTO "+in+".posts VALUES "+strings.Join(rows, ", "))
}

// Stop ends all programs of the fleet but the servers.
func (f *Fleet) Stop() error {
	found := []error{f.Master.Stop()}
	for _, a := range f.Agents {
		found = append(found, a.Stop())
	}
	return errors.Join(found...)
}

func read[V any](ctx context.Context, f *Fleet, args ...string) (v V, err error) {
	text, err := f.Master.Run(ctx, append(args, "-o", "json")...)
	if err == nil {
		err = json.Unmarshal([]byte(text), &v)
	}
	return v, err
}
