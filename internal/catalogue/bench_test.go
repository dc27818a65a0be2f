package catalogue_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/sitekeep/sitekeep/internal/catalogue"
	"github.com/sitekeep/sitekeep/internal/model"
)

const (
	benchSites   = 10_000
	benchBackups = 30 // of each
)

// fill makes 10,000 sites with 300,000 backups and 20,000 tasks.
func fill(b *testing.B) *catalogue.Catalogue {
	b.Helper()
	return fillWith(b, benchSites, benchBackups)
}

func fillWith(b *testing.B, nSites, nBackups int) *catalogue.Catalogue {
	b.Helper()
	c := open(b)
	addServers(b, c, "web1", "web2", "db1", "db2")
	for first := 0; first < nSites; first += 500 {
		var sites []model.Site
		var backups []model.Backup
		var tasks []model.Task
		for i := first; i < first+500; i++ {
			s := site(fmt.Sprintf("site%05d.example", i))
			s.Client = fmt.Sprintf("client%d", i%50)
			sites = append(sites, s)
			for n := range nBackups {
				at := epoch.Add(time.Duration(n)*24*time.Hour + time.Duration(i)*time.Second)
				one := backup(s.Name, n)
				one.ID, one.CreatedAt = model.BackupID(s.Name, at, 0), at
				backups = append(backups, one)
			}
			for n := range 2 {
				one := task(fmt.Sprintf("%s-%d", s.Name, n), s.Name)
				one.State, one.FinishedAt = model.TaskSucceeded, epoch
				tasks = append(tasks, one)
			}
		}
		ok(b, c.Bulk(b.Context(), sites, backups, tasks))
	}
	return c
}

// BenchmarkCatalogue measures what a list, a page in the middle and a sum cost
// when the catalogue is full: go test -bench Catalogue -benchtime 200x.
func BenchmarkCatalogue(b *testing.B) {
	c := fill(b)
	ctx := b.Context()
	const some = "site05000.example"
	_, middle, err := c.Backups(ctx, catalogue.BackupFilter{Limit: 1})
	ok(b, err)
	for page := 0; page < 150; page++ { // 150,000 backups further on
		_, middle, err = c.Backups(ctx, catalogue.BackupFilter{Limit: 1000, After: middle})
		ok(b, err)
	}
	for name, f := range map[string]func() error{
		"retention":      func() error { _, err := c.RetentionBackups(ctx); return err },
		"backups/first":  func() error { _, _, err := c.Backups(ctx, catalogue.BackupFilter{}); return err },
		"backups/middle": func() error { _, _, err := c.Backups(ctx, catalogue.BackupFilter{After: middle}); return err },
		"backups/site":   func() error { _, _, err := c.Backups(ctx, catalogue.BackupFilter{Site: some}); return err },
		"backups/client": func() error { _, _, err := c.Backups(ctx, catalogue.BackupFilter{Client: "client7"}); return err },
		"backups/client-middle": func() error {
			_, _, err := c.Backups(ctx, catalogue.BackupFilter{Client: "client7", After: middle})
			return err
		},
		"backups/latest": func() error { _, err := c.LatestBackup(ctx, some); return err },
		"backups/base":   func() error { _, err := c.LatestBase(ctx, some, "tar.zst"); return err },
		"backups/known":  func() error { _, err := c.HasBackup(ctx, some); return err },
		"usage/site":     func() error { _, err := c.SiteUsage(ctx, some); return err },
		"usage/all":      func() error { _, err := c.Usages(ctx); return err },
		"sites/first":    func() error { _, _, err := c.Sites(ctx, catalogue.SiteFilter{}); return err },
		"sites/glob": func() error {
			_, _, err := c.Sites(ctx, catalogue.SiteFilter{Names: []string{"site0999?.*"}})
			return err
		},
		"sites/database": func() error { _, err := c.SitesUsingDatabase(ctx, "db1", "db_"+some); return err },
		"tasks/first":    func() error { _, _, err := c.Tasks(ctx, catalogue.TaskFilter{}); return err },
		"tasks/site":     func() error { _, _, err := c.Tasks(ctx, catalogue.TaskFilter{Site: some}); return err },
		"tasks/client":   func() error { _, _, err := c.Tasks(ctx, catalogue.TaskFilter{Client: "client7"}); return err },
		"journal/append": func() error { return c.AppendJournal(ctx, "task", []byte(`{"kind":"begun","step":"x"}`)) },
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				ok(b, f())
			}
		})
	}
}
