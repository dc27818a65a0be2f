package agent

import (
	"context"
	"errors"
	"strings"
	"syscall"

	"github.com/sitekeep/sitekeep/internal/agent/guard"
	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/pkg/archive"
	"github.com/sitekeep/sitekeep/pkg/sitekind"
)

// blanks are the settings files that are sent with an empty password, and what the operator should know of them.
type blanks struct {
	files    []archive.Instead
	warnings []archive.Warning
}

// paths are those of the files, below the site's root.
func (b *blanks) paths() (out [][]byte) {
	for _, f := range b.files {
		out = append(out, []byte(strings.TrimPrefix(f.Path, "./")))
	}
	return out
}

func (b *blanks) warn(path, detail string) {
	b.warnings = append(b.warnings, archive.Warning{Kind: archive.WarnUnreadable, Path: path, Detail: detail})
}

// blank reads the site's settings files, which stay as they are. What cannot be blanked is not sent: with salvage it goes
// as an empty file, and otherwise the backup fails.
func (s *treeService) blank(ctx context.Context, site *guard.Site, salvage bool) (*blanks, error) {
	kind, err := kindByName(site.Kind)
	if err != nil {
		return nil, err
	}
	p, err := livePlace(site)
	if err != nil {
		return nil, err
	}
	defer p.Close()
	out := &blanks{}
	found, err := sitekind.Blank(ctx, kind, p.Place)
	switch {
	case err == nil:
		return out, out.add(p, found)
	case errors.Is(err, sitekind.ErrNoSettings):
		out.warn("./", "the site keeps no settings that are known, so that no password was blanked")
		return out, nil
	case !salvage:
		return nil, settingsError(err)
	}
	return out, out.empty(ctx, kind, p, err)
}

// add takes files that lie in the site's directory; others are in no backup.
func (b *blanks) add(p *place, files []sitekind.Blanked) error {
	for _, f := range files {
		rel := p.relative(f.Name)
		if rel == ".." || strings.HasPrefix(rel, "../") {
			continue
		}
		info, err := p.Root.Stat(f.Name)
		if err != nil {
			return fileError(err)
		}
		st, ok := info.Sys().(*syscall.Stat_t)
		if !ok {
			return errs.New(errs.Failed, "", "%s cannot be told from other files", rel)
		}
		b.files = append(b.files, archive.Instead{Path: "./" + rel, Device: uint64(st.Dev), Inode: st.Ino, Content: f.Content})
	}
	return nil
}

// empty blanks all of the settings files that the kind knows.
func (b *blanks) empty(ctx context.Context, kind sitekind.Kind, p *place, cause error) error {
	rules, err := kind.Rules(ctx, p.Place)
	if err != nil {
		return settingsError(err)
	}
	for _, name := range rules.Settings {
		if err := b.add(p, []sitekind.Blanked{{Name: name}}); err != nil && !errs.Is(err, errs.NotFound) {
			return err
		}
		b.warn("./"+p.relative(name), "stored empty, because its password cannot be blanked: "+cause.Error())
	}
	return nil
}
