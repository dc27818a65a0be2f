package webserver

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Forever is a lease that does not run out.
const Forever = time.Duration(math.MaxInt64)

// ByHand owns the maintenance of a flag file that somebody made without us.
// It never runs out: only who made the file removes it.
const ByHand = "by hand"

// maxOwner bounds the length of an owner, in bytes.
const maxOwner = 200

// MaintenanceResult says what a begun maintenance is worth.
type MaintenanceResult struct {
	// Until is when the lease runs out; zero for Forever.
	Until time.Time
	// Ensured says that the site's virtual host is ours and answers 503.
	Ensured bool
	// Reason says why 503 is not ensured.
	Reason string
}

// Maintenance is one holder of one site's maintenance. A site answers 503 as
// long as it has a holder.
type Maintenance struct {
	Name  string
	Owner string
	Begun time.Time
	// Until is when the lease runs out; zero if it does not.
	Until time.Time
}

// BeginMaintenance makes the site answer 503 with Retry-After, at once and
// without a reload, until the owner ends it or its lease runs out and is
// swept. Several owners may hold one site; it answers again when the last one
// is gone. It may be repeated, which renews. Where the virtual host is
// missing or not ours, the flag is set all the same, and the result says why
// 503 is not ensured.
func (s *Server) BeginMaintenance(ctx context.Context, name, owner string, lease time.Duration) (MaintenanceResult, error) {
	return s.beginMaintenance(ctx, name, owner, lease, func(_ context.Context, _, reason string) string { return reason })
}

// BeginExternalMaintenance is BeginMaintenance for a site whose virtual host is
// the operator's. It writes the file that the line of IncludeLine includes: 503
// is ensured if the virtual host that serves the site has that line, and
// otherwise the result names it.
func (s *Server) BeginExternalMaintenance(ctx context.Context, name, owner string, lease time.Duration) (MaintenanceResult, error) {
	return s.beginMaintenance(ctx, name, owner, lease, s.externalReason)
}

// foreignReason turns the reason why a virtual host of ours does not answer 503 into what there is to say.
type foreignReason func(ctx context.Context, name, reason string) string

func (s *Server) beginMaintenance(ctx context.Context, name, owner string, lease time.Duration, foreign foreignReason) (MaintenanceResult, error) {
	if err := validateHolder(name, owner, lease); err != nil {
		return MaintenanceResult{}, err
	}
	now := s.now()
	until := leaseEnd(now, lease)
	err := s.editFlag(ctx, name, func(f *flag) error {
		f.hold(owner, now, until)
		return nil
	})
	if err != nil {
		return MaintenanceResult{}, fmt.Errorf("begin maintenance of %s: %w", name, err)
	}
	reason, err := s.notEnsured(ctx, name, foreign)
	return MaintenanceResult{Until: until, Ensured: reason == "" && err == nil, Reason: reason}, err
}

// RenewMaintenance makes the owner's lease end later. It returns
// ErrNoMaintenance when the owner does not hold the site's maintenance.
func (s *Server) RenewMaintenance(ctx context.Context, name, owner string, lease time.Duration) (time.Time, error) {
	if err := validateHolder(name, owner, lease); err != nil {
		return time.Time{}, err
	}
	now := s.now()
	until := leaseEnd(now, lease)
	err := s.editFlag(ctx, name, func(f *flag) error {
		if !f.holds(owner) {
			return ErrNoMaintenance
		}
		f.hold(owner, now, until)
		return nil
	})
	if err != nil {
		return time.Time{}, fmt.Errorf("renew maintenance of %s: %w", name, err)
	}
	return until, nil
}

// EndMaintenance ends what the owner holds. Ended says whether the site is
// out of maintenance now: false while others hold it. It may be repeated, and
// an owner that holds nothing is no error.
func (s *Server) EndMaintenance(ctx context.Context, name, owner string) (ended bool, err error) {
	if err := validateHolder(name, owner, Forever); err != nil {
		return false, err
	}
	err = s.editFlag(ctx, name, func(f *flag) error {
		f.release(func(h holder) bool { return h.Owner == owner })
		ended = len(f.Holders) == 0
		return nil
	})
	if err != nil {
		return false, fmt.Errorf("end maintenance of %s: %w", name, err)
	}
	return ended, nil
}

// SweepMaintenance ends every lease that ran out before now, and returns what
// it ended. It goes on after a failure and reports all of them.
func (s *Server) SweepMaintenance(ctx context.Context, now time.Time) ([]Maintenance, error) {
	names, err := s.flaggedNames()
	errs := []error{err}
	var ended []Maintenance
	for _, name := range names {
		var out []holder
		err := s.editFlag(ctx, name, func(f *flag) error {
			out = f.release(func(h holder) bool { return !h.Until.IsZero() && h.Until.Before(now) })
			return nil
		})
		if err != nil {
			errs = append(errs, fmt.Errorf("sweep maintenance of %s: %w", name, err))
			continue
		}
		ended = append(ended, maintenances(name, out)...)
	}
	return ended, errors.Join(errs...)
}

// ListMaintenance returns every holder of every site.
func (s *Server) ListMaintenance(_ context.Context) ([]Maintenance, error) {
	names, err := s.flaggedNames()
	errs := []error{err}
	var out []Maintenance
	for _, name := range names {
		f, err := s.readFlag(name)
		errs = append(errs, err)
		out = append(out, maintenances(name, f.Holders)...)
	}
	return out, errors.Join(errs...)
}

func maintenances(name string, holders []holder) []Maintenance {
	var out []Maintenance
	for _, h := range holders {
		out = append(out, Maintenance{Name: name, Owner: h.Owner, Begun: h.Begun, Until: h.Until})
	}
	return out
}

func validateHolder(name, owner string, lease time.Duration) error {
	err := validateName(name)
	if owner == "" || len(owner) > maxOwner || owner == ByHand {
		err = errors.Join(err, fmt.Errorf("owner %q of a maintenance is empty, longer than %d bytes, or %q", owner, maxOwner, ByHand))
	}
	if lease <= 0 {
		err = errors.Join(err, fmt.Errorf("lease %s is not positive; give Forever for one without end", lease))
	}
	return err
}

func leaseEnd(now time.Time, lease time.Duration) time.Time {
	if lease == Forever {
		return time.Time{}
	}
	return now.Add(lease).UTC()
}

// notEnsured says why the site's flag may not make it answer 503.
func (s *Server) notEnsured(ctx context.Context, name string, foreign foreignReason) (string, error) {
	state, err := s.VhostState(ctx, name)
	switch {
	case err != nil:
		return "the virtual host cannot be read", err
	case !state.Exists:
		return foreign(ctx, name, fmt.Sprintf("there is no managed virtual host %s", s.path(name))), nil
	case !state.Managed:
		return foreign(ctx, name, fmt.Sprintf("%s was not written by sitekeep", s.path(name))), nil
	case state.Edited:
		return fmt.Sprintf("%s was edited by hand", s.path(name)), nil
	}
	return "", nil
}

func (s *Server) flaggedNames() ([]string, error) {
	d, err := s.openDir()
	if err != nil {
		return nil, err
	}
	defer d.Close()
	files, err := d.names()
	var names []string
	for _, file := range files {
		if name, ok := strings.CutSuffix(file, flagSuffix); ok && validateName(name) == nil {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names, err
}

func (s *Server) readFlag(name string) (flag, error) {
	d, err := s.openDir()
	if err != nil {
		return flag{}, err
	}
	defer d.Close()
	f, err := loadFlag(d, name)
	if errors.Is(err, fs.ErrNotExist) {
		return flag{}, nil
	}
	return f, err
}

// editFlag reads a site's flag, lets edit change it, and writes it or, when
// nobody holds it any more, removes it.
func (s *Server) editFlag(ctx context.Context, name string, edit func(*flag) error) error {
	release, err := acquire(ctx, s.flagging)
	if err != nil {
		return err
	}
	defer release()
	d, err := s.openDir()
	if err != nil {
		return err
	}
	defer d.Close()
	f, err := loadFlag(d, name)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := edit(&f); err != nil {
		return err
	}
	if len(f.Holders) == 0 && len(f.Switch) > 0 && s.switchOff != nil {
		if err := s.switchOff(name, f.Switch); err != nil {
			return fmt.Errorf("the site's own maintenance switch: %w", err)
		}
	}
	return f.store(d, name)
}

func (s *Server) flagPath(name string) string {
	return filepath.Join(s.cfg.VhostDir, name+flagSuffix)
}
