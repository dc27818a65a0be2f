package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"

	"github.com/sitekeep/sitekeep/internal/agent/guard"
	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/internal/model"
	"github.com/sitekeep/sitekeep/pkg/sitekind"
	"github.com/sitekeep/sitekeep/pkg/webserver"
	agentv1 "github.com/sitekeep/sitekeep/proto/sitekeep/agent/v1"
)

// A site behind a virtual host that is not ours may keep visitors out by itself, by a file in its own tree. Which one, and
// where the site lay, stands in a note beside the holders of the maintenance: so the file goes with the last of them,
// however that comes about.

// switchNote is what is remembered of the files by which a site keeps visitors out.
type switchNote struct {
	Site  string   `json:"site"`
	Root  string   `json:"root"`
	Docs  string   `json:"docroot"`
	Files []string `json:"files"` // relative to the root of the place
}

func (n *switchNote) ref() model.SiteRef {
	return model.SiteRef{Name: n.Site, Root: n.Root, Docroot: n.Docs}
}

func noteOf(data []byte) (*switchNote, error) {
	if len(data) == 0 {
		return nil, nil
	}
	n := &switchNote{}
	if err := json.Unmarshal(data, n); err != nil {
		return nil, fmt.Errorf("note of a maintenance switch: %w", err)
	}
	return n, nil
}

// switchOff is the web server's: it removes the files that a note names, and nothing of somebody else's.
func (a *Agent) switchOff(_ string, data []byte) error {
	n, err := noteOf(data)
	if err != nil {
		return err
	}
	site, err := a.guard.Site(n.ref())
	if err != nil {
		return err
	}
	return onLive(site, func(p *place) error { return turnOff(p.Root, n.Files) })
}

// onLive calls f with the live tree, if there is one.
func onLive(site *guard.Site, f func(p *place) error) error {
	p, err := livePlace(site)
	if errs.Is(err, errs.NotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	defer p.Close()
	return f(p)
}

func turnOff(root *os.Root, files []string) error {
	var failed []error
	for _, name := range files {
		failed = append(failed, sitekind.TurnOff(root, name))
	}
	return fileError(errors.Join(failed...))
}

// turnOn notes the switch of a tree of the site, then turns it on.
func (a *Agent) turnOn(ctx context.Context, site *guard.Site, p *place) (sitekind.Switch, error) {
	kind, err := kindByName(site.Kind)
	if err != nil {
		return sitekind.Switch{}, err
	}
	var sw sitekind.Switch
	err = a.web.NoteSwitch(ctx, site.Name, func(old []byte, pass string) ([]byte, error) {
		if sw, err = sitekind.FindSwitch(ctx, kind, p.Place, passOf(pass)); err != nil {
			return old, err
		}
		return a.noted(site, old, sw.Name)
	})
	if err != nil {
		return sw, err
	}
	return sw, sw.TurnOn(p.Place)
}

func passOf(value string) sitekind.Pass {
	return sitekind.Pass{Header: webserver.PassHeader, Value: value}
}

// noted adds a file to a note. What a note says of another place, where the site was before, is taken away first.
func (a *Agent) noted(site *guard.Site, old []byte, file string) ([]byte, error) {
	n, err := noteOf(old)
	if err != nil {
		return old, err
	}
	if n == nil || n.Root != site.Root || n.Docs != site.Docroot {
		if n != nil {
			if err := a.switchOff(site.Name, old); err != nil {
				return old, err
			}
		}
		n = &switchNote{Site: site.Name, Root: site.Root, Docs: site.Docroot}
	}
	if !slices.Contains(n.Files, file) {
		n.Files = append(n.Files, file)
	}
	return json.Marshal(n)
}

// byItself has a site keep visitors out by its own switch, and asks as a visitor whether it does. By says in words what
// keeps them out; a *sitekind.NoSwitchError and the like say why nothing does.
func (s *vhostService) byItself(ctx context.Context, site *guard.Site) (by string, err error) {
	p, err := livePlace(site)
	if err != nil {
		return "", err
	}
	defer p.Close()
	sw, err := s.turnOn(ctx, site, p)
	if err != nil {
		return "", err
	}
	status, err := s.web.VisitorStatus(ctx, site.Name)
	if err == nil && status != http.StatusServiceUnavailable {
		err = fmt.Errorf("with its own %s the site answers %d, not 503", p.relative(sw.Name), status)
	}
	return "the site's own maintenance switch, " + p.relative(sw.Name), err
}

// ensure adds the site's own switch to a maintenance that has begun, where it is wanted, or nothing else keeps visitors out.
func (s *vhostService) ensure(ctx context.Context, ref *agentv1.SiteRef, site *guard.Site, r webserver.MaintenanceResult) *agentv1.BeginMaintenanceResponse {
	reply := &agentv1.BeginMaintenanceResponse{Warning: r.Reason}
	mode := model.MaintenanceMode(ref.GetMaintenance())
	if !ref.GetExternal() || mode == model.MaintenanceInclude || mode == model.MaintenanceAuto && r.Ensured {
		return reply
	}
	by, err := s.byItself(ctx, site)
	if err != nil {
		reply.Warning = strings.TrimPrefix(fmt.Sprintf("%s; %v", r.Reason, err), "; ")
		return reply
	}
	return &agentv1.BeginMaintenanceResponse{By: by}
}

// align has a staged tree be as closed as the live one, before it takes its place.
func (s *treeService) align(ctx context.Context, ref *agentv1.SiteRef, site *guard.Site, task string) error {
	// A docroot around the site's directory is not exchanged, nor what lies there.
	if rel, around := site.RootInDocroot(); s.web == nil || !ref.GetExternal() || around && rel != "." {
		return nil
	}
	p, err := s.place(site, task)
	if errs.Is(err, errs.NotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	defer p.Close()
	wanted, err := s.switchWanted(ref, site)
	if err != nil || !wanted {
		return err
	}
	_, err = s.turnOn(ctx, site, p)
	if _, none := errors.AsType[*sitekind.NoSwitchError](err); none || errors.Is(err, sitekind.ErrForeignSwitch) {
		s.log.Warn("the tree that comes has no maintenance switch of ours", "site", site.Name, "why", err)
		return nil
	}
	return fileError(err)
}

// switchWanted reports whether visitors are kept out by the site's own switch, or would be had there been a site.
func (s *treeService) switchWanted(ref *agentv1.SiteRef, site *guard.Site) (bool, error) {
	note, _, held, err := s.web.Switch(site.Name)
	if err != nil || !held || len(note) > 0 {
		return held && len(note) > 0, err
	}
	p, err := livePlace(site)
	if err == nil {
		p.Close()
		return false, nil
	}
	return errs.Is(err, errs.NotFound) && model.MaintenanceMode(ref.GetMaintenance()) != model.MaintenanceInclude, nil
}

// ownSwitches are globs of the files by which the site keeps, or would keep, visitors out for us: they belong to no
// backup, and are no difference. One that somebody else has made does.
func (a *Agent) ownSwitches(ctx context.Context, site *guard.Site) []string {
	var globs []string
	_ = onLive(site, func(p *place) error { // What cannot be looked at, reading the tree will tell.
		for _, name := range a.switchFiles(ctx, site, p) {
			ours, err := sitekind.OursOrNone(p.Root, name)
			if rel := p.relative(name); err == nil && ours && rel != ".." && !strings.HasPrefix(rel, "../") {
				globs = append(globs, "/"+escapeGlob(rel))
			}
		}
		return nil
	})
	return globs
}

// switchFiles are relative to the place's root: what is noted, and what the kind would use.
func (a *Agent) switchFiles(ctx context.Context, site *guard.Site, p *place) (files []string) {
	if a.web != nil {
		if data, _, _, err := a.web.Switch(site.Name); err == nil {
			if n, err := noteOf(data); err == nil && n != nil {
				files = n.Files
			}
		}
	}
	kind, err := kindByName(site.Kind)
	if err != nil {
		return files
	}
	if sw, err := sitekind.FindSwitch(ctx, kind, p.Place, sitekind.Pass{}); err == nil && !slices.Contains(files, sw.Name) {
		files = append(files, sw.Name)
	}
	return files
}

// dropSwitch takes away what is left of a switch where nobody keeps visitors out: of a tree that somebody has brought back
// by hand, for instance, or that was not mounted when its maintenance ended. A tree that cannot be opened has none.
func (s *vhostService) dropSwitch(ctx context.Context, site *guard.Site) error {
	p, err := livePlace(site)
	if err != nil {
		return nil //nolint:nilerr // See above.
	}
	defer p.Close()
	return turnOff(p.Root, s.switchFiles(ctx, site, p))
}

// beyond adds to a probe what passes the site's own switch. Hidden says that a 503 is that switch's: for visitors, and where
// nothing passes it.
func (s *vhostService) beyond(ctx context.Context, site *guard.Site, probe *webserver.ProbeRequest) (hidden bool, err error) {
	note, pass, held, err := s.web.Switch(site.Name)
	if err != nil || !held || len(note) == 0 {
		return false, err
	}
	kind, err := kindByName(site.Kind)
	if err != nil || probe.AsVisitor {
		return true, err
	}
	err = onLive(site, func(p *place) error {
		if sw, err := sitekind.FindSwitch(ctx, kind, p.Place, passOf(pass)); err == nil {
			probe.Cookie, hidden = sw.Cookie, sw.Impassable
		}
		return nil
	})
	return hidden, err
}
