package restore

import (
	"context"

	"github.com/sitekeep/sitekeep/internal/backup"
	"github.com/sitekeep/sitekeep/internal/saga"
)

// pushPaths makes a staged tree of the chosen paths alone on every web server.
type pushPaths struct {
	*run
	independent
}

func (pushPaths) Name() string { return "push_paths" }

func (pushPaths) Prepare(context.Context) (saga.Memo, error) { return nil, nil }

func (s pushPaths) Do(ctx context.Context, _ saga.Memo) error {
	return s.withTarball(ctx, func(t *backup.Tarball) error {
		return s.eachServer(func(server string) error {
			return s.persist(ctx, pushingPaths, server, whole(func(ctx context.Context, counted func(Frames) Frames) error {
				return s.push(ctx, server, t, counted)
			}))
		})
	})
}

func (s pushPaths) push(ctx context.Context, server string, t *backup.Tarball, counted func(Frames) Frames) error {
	return s.onServer(ctx, server, func(ctx context.Context, server string, web Web) error {
		paths, frames, err := t.PathFrames(ctx, s.basis.paths())
		if err != nil {
			return err
		}
		warnings, err := web.WritePaths(ctx, s.ref(), s.task, s.basis.Format, rawPaths(paths), s.meter.count(pushingPaths, counted(frames)))
		for _, w := range warnings {
			s.log.Warn("%s: %s", server, w)
		}
		return err
	})
}

// Undo comes after that of exchangePaths on each server: what lies in staging is the backup's.
func (s pushPaths) Undo(ctx context.Context, _ saga.Memo) error {
	return s.undoEach(ctx, s.Name(), s.dropStaging)
}

func (s pushPaths) Manual(saga.Memo) []string {
	var lines []string
	for _, server := range s.basis.Site.WebServers {
		lines = append(lines, "# on "+server+", when what was in "+s.basis.Site.Root+" is back:", "rm -rf "+quote(s.stagingDir()))
	}
	return lines
}

// paths are the chosen paths as text, which may be of any bytes.
func (b *Basis) paths() []string { return textPaths(b.Paths) }

func rawPaths(paths []string) [][]byte {
	out := make([][]byte, len(paths))
	for i, p := range paths {
		out[i] = []byte(p)
	}
	return out
}
