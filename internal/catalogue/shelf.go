package catalogue

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/internal/retention"
)

// shelf remembers all backups as retention needs them, and reads again only the
// sites that have changed: backup_changes names them, in the same snapshot that
// they are read from. It costs about 120 bytes a backup.
type shelf struct {
	mu     sync.Mutex
	seq    int64 // changes up to it are in; -1 if nothing was read
	bySite map[string][]retention.Backup
	sorted [][]retention.Backup
}

// manySites is when it is cheaper to read all sites than each that has changed.
const manySites = 2000

// RetentionBackups returns all backups as retention needs them: by site, each
// newest first. What is returned is shared, and must not be changed; it stays as
// it is when backups come and go.
func (c *Catalogue) RetentionBackups(ctx context.Context) ([][]retention.Backup, error) {
	c.shelf.mu.Lock()
	defer c.shelf.mu.Unlock()
	tx, err := c.read.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return nil, fmt.Errorf("list backups: %w", classify(err))
	}
	if err := errors.Join(c.shelf.renew(ctx, tx), rollback(tx)); err != nil {
		c.shelf.forget()
		return nil, fmt.Errorf("list backups: %w", err)
	}
	return c.shelf.sorted, nil
}

// Usages adds up the backups of each site that has any, by site; how much of
// them is new SiteUsage alone says.
func (c *Catalogue) Usages(ctx context.Context) ([]Usage, error) {
	sites, err := c.RetentionBackups(ctx)
	if err != nil {
		return nil, err
	}
	out := make([]Usage, len(sites))
	for i, backups := range sites {
		out[i] = Usage{Site: backups[0].Site, Count: int64(len(backups)), Newest: backups[0].At}
		for j := range backups {
			out[i].Size += backups[j].Size
		}
	}
	return out, nil
}

// lastGood is when the newest backup of each site was made that can be counted
// on: no check has found damage, and it was not taken of what a restore was
// about to replace. Sites without one are left out.
func (c *Catalogue) lastGood(ctx context.Context) (map[string]time.Time, error) {
	sites, err := c.RetentionBackups(ctx)
	out := make(map[string]time.Time, len(sites))
	for _, backups := range sites {
		for i := range backups {
			if b := &backups[i]; !b.Lacking && !b.Safety {
				out[b.Site] = b.At
				break
			}
		}
	}
	return out, err
}

// forget makes the next renewal read everything.
func (s *shelf) forget() { s.seq, s.bySite, s.sorted = -1, nil, nil }

// renew takes in what has changed. After an error what it holds is in doubt.
func (s *shelf) renew(ctx context.Context, q querier) error {
	var seq int64
	if err := q.QueryRowContext(ctx, `SELECT coalesce(max(seq), 0) FROM backup_changes`).Scan(&seq); err != nil {
		return classify(err)
	}
	if s.bySite != nil && seq == s.seq {
		return nil
	}
	changed, whole, err := s.changed(ctx, q, seq)
	if err != nil {
		return err
	}
	if err := s.take(ctx, q, changed, whole); err != nil {
		return err
	}
	s.seq, s.sorted = seq, make([][]retention.Backup, 0, len(s.bySite))
	for _, site := range slices.Sorted(maps.Keys(s.bySite)) {
		s.sorted = append(s.sorted, s.bySite[site])
	}
	return nil
}

// changed names the sites to read again; whole: all are to be read.
func (s *shelf) changed(ctx context.Context, q querier, seq int64) (sites []string, whole bool, err error) {
	if s.bySite == nil || seq < s.seq {
		return nil, true, nil
	}
	sites, err = collect(ctx, q, scanString, `SELECT site FROM backup_changes WHERE seq > ? LIMIT ?`, s.seq, manySites)
	return sites, len(sites) == manySites, err
}

func (s *shelf) take(ctx context.Context, q querier, changed []string, whole bool) error {
	if whole {
		s.bySite = map[string][]retention.Backup{}
		return s.read(ctx, q, "")
	}
	for _, site := range changed {
		delete(s.bySite, site)
		if err := s.read(ctx, q, site); err != nil {
			return err
		}
	}
	return nil
}

// Characters that part what read packs: no id has them, and a client's name
// that had them would be refused when it is read, not misread.
const (
	unitSeparator   = "\x1f"
	recordSeparator = "\x1e"
)

// read takes in the backups of a site; empty for all. A site's backups come as
// one row, since rows cost more than what is in them.
func (s *shelf) read(ctx context.Context, q querier, site string) error {
	// A safety backup takes what there is: with warnings it may lack something.
	const pack = `SELECT site, group_concat(id || char(31) || created_at || char(31) || size || char(31) ||
		(pinned + 2 * (origin = 'safety') + 4 * (check_problem <> '' OR origin = 'safety' AND warnings <> '[]')) || char(31) || client,
		char(30) ORDER BY created_at DESC, id DESC) FROM backups`
	query, args := pack+` GROUP BY site`, []any{}
	if site != "" {
		query, args = pack+` WHERE site = ? GROUP BY site`, []any{site}
	}
	rows, err := q.QueryContext(ctx, query, args...)
	if err != nil {
		return classify(err)
	}
	defer rows.Close()
	for rows.Next() {
		var name, packed string
		if err := rows.Scan(&name, &packed); err != nil {
			return classify(err)
		}
		if s.bySite[name], err = unpackSite(name, packed); err != nil {
			return err
		}
	}
	return classify(rows.Err())
}

func unpackSite(site, packed string) ([]retention.Backup, error) {
	all := make([]retention.Backup, 0, 1+strings.Count(packed, recordSeparator))
	var ids strings.Builder // of the packed text nothing but the ids is kept
	client := ""
	for record := range strings.SplitSeq(packed, recordSeparator) {
		b, err := unpackBackup(site, record)
		if err != nil {
			return nil, err
		}
		if b.Client != client {
			client = strings.Clone(b.Client)
		}
		b.Client = client
		ids.WriteString(b.ID)
		all = append(all, b)
	}
	rest := ids.String()
	for i := range all {
		n := len(all[i].ID)
		all[i].ID, rest = rest[:n], rest[n:]
	}
	return all, nil
}

// What stands in the fourth part of a record.
const (
	isPinned = 1 << iota
	isSafety
	isLacking
)

func unpackBackup(site, record string) (retention.Backup, error) {
	var parts [5]string
	n := 0
	for part := range strings.SplitSeq(record, unitSeparator) {
		if n < len(parts) {
			parts[n] = part
		}
		n++
	}
	at, errAt := strconv.ParseInt(parts[1], 10, 64)
	size, errSize := strconv.ParseInt(parts[2], 10, 64)
	flags, errFlags := strconv.Atoi(parts[3])
	if err := errors.Join(errAt, errSize, errFlags); n != len(parts) || err != nil {
		return retention.Backup{}, errs.New(errs.Corrupt, "look for control characters in the names of the site's client",
			"a backup of %s is recorded in a way that cannot be read: %q", site, record)
	}
	b := retention.Backup{ID: parts[0], Site: site, Client: parts[4], Size: size,
		Pinned: flags&isPinned != 0, Safety: flags&isSafety != 0, Lacking: flags&isLacking != 0}
	if at != 0 {
		b.At = time.Unix(0, at).UTC()
	}
	return b, nil
}
