package restore

import (
	"context"
	"fmt"

	"github.com/sitekeep/sitekeep/internal/backup"
	"github.com/sitekeep/sitekeep/internal/bytesize"
	"github.com/sitekeep/sitekeep/internal/model"
	"github.com/sitekeep/sitekeep/internal/saga"
)

// sendAhead stages the files of the backup that was made while the site serves, on the web servers that it moves to. What
// has not changed by the last backup need not be sent while visitors wait; pushFiles makes the very tree of that one.
type sendAhead struct {
	*run
	independent
}

func (sendAhead) Name() string { return "send_ahead" }

func (s sendAhead) Prepare(ctx context.Context) (saga.Memo, error) { return s.push().Prepare(ctx) }

func (s sendAhead) push() pushFiles { return pushFiles{run: s.run} }

func (s sendAhead) Do(ctx context.Context, _ saga.Memo) error {
	err := s.withTarball(ctx, func(t *backup.Tarball) error {
		return s.eachServer(func(server string) error {
			return s.persist(ctx, pushing, server, func(ctx context.Context) (int64, error) {
				return s.push().stage(ctx, server, metered{Tarball: t, index: t})
			})
		})
	})
	if err == nil {
		s.log.Log(model.LevelInfo, "the files of %s (%s) are sent, and the site still serves at its old place", s.basis.Backup, bytesize.Text(int64(s.basis.TreeBytes)))
	}
	return err
}

// Undo is that of pushFiles, whose tree takes the place of this one.
func (s sendAhead) Undo(ctx context.Context, m saga.Memo) error {
	live, err := remember[pushMemo](m)
	if err != nil {
		return err
	}
	return s.undoEach(ctx, s.Name(), func(ctx context.Context, server string, web Web) error {
		return s.push().clear(ctx, server, web, live)
	})
}

func (s sendAhead) Manual(m saga.Memo) []string { return s.push().Manual(m) }

// Describe says what the step does.
func (s sendAhead) Describe() PreviewStep {
	return PreviewStep{Servers: s.basis.Site.WebServers, Undo: "remove the staging directory",
		Description: fmt.Sprintf("write %d entries, %s, beside %s, while the site serves", s.basis.Entries, bytesize.Text(int64(s.basis.TreeBytes)), s.basis.Site.Root)}
}
