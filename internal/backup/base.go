package backup

import (
	"context"
	"fmt"
	"strconv"

	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/internal/model"
	"github.com/sitekeep/sitekeep/pkg/archive"
)

// openBase finds the backup whose unchanged frames are taken over. Without one the backup reads everything.
func (j *job) openBase(ctx context.Context) {
	last, err := j.deps.Catalogue.LatestBase(ctx, j.q.Site.Name, j.q.Format)
	if errs.Is(err, errs.NotFound) {
		return
	}
	if err == nil {
		j.base, err = OpenTarball(ctx, j.deps.Store, &last)
	}
	if err != nil {
		j.counts.warn(j.log, fmt.Sprintf("there is no earlier backup to build on, so everything is read: %v", err))
		return
	}
	j.decideWhatToRead()
}

// decideWhatToRead has every so many backups read what seems unchanged too. The safety backup of a site that waits for
// its restore does not.
func (j *job) decideWhatToRead() {
	n, _ := strconv.Atoi(j.base.Manifest().GetLabels()[LabelSinceFull]) // older ones have none: they begin the count
	every := j.deps.FullEvery
	switch {
	case j.q.Full:
		j.readAll = true
		j.log.Log(model.LevelInfo, "reading everything, as asked")
	case !j.q.Site.BlankCredentials && j.base.Manifest().GetLabels()[LabelBlanked] != "":
		j.readAll = true // a blanked file may have the size and times of the live one
		j.log.Log(model.LevelInfo, "reading everything: the earlier backup has settings files without their password")
	case every > 0 && n+1 >= every && !j.q.Salvage:
		j.readAll = true
		j.log.Log(model.LevelInfo, "reading everything, as every %d backups", every)
	default:
		j.sinceFull = n + 1
	}
}

// earlier is the base's reader; nil if there is none.
func (j *job) earlier() *archive.Reader {
	if j.base == nil {
		return nil
	}
	return j.base.Reader
}

func (j *job) closeBase() {
	if j.base == nil {
		return
	}
	if err := j.base.Close(); err != nil {
		j.deps.Server.Warn("closing a base", "site", j.q.Site.Name, "error", err)
	}
}
