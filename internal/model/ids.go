package model

import (
	"fmt"
	"path"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/sitekeep/sitekeep/internal/errs"
)

var (
	siteName   = regexp.MustCompile(`^[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?)*$`)
	serverName = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$`)
	backupID   = regexp.MustCompile(`^(.+)-(\d{8}\.\d{6})(?:_(\d+))?$`)
)

const (
	maxSiteName    = 200 // leaves room for the time and suffixes in a file name of 255 bytes
	backupIDLayout = "20060102.150405"
)

// CheckSiteName refuses names that are not host names in lower case. A site's
// name becomes part of file names, so nothing else may pass.
func CheckSiteName(name string) error {
	if len(name) > maxSiteName || !siteName.MatchString(name) {
		return errs.New(errs.Usage, "use the site's main domain in lower case, such as example.com", "site name %q is not a domain name", name)
	}
	return nil
}

// CheckServerName refuses names that could not stand in a certificate or a command line.
func CheckServerName(name string) error {
	if !serverName.MatchString(name) {
		return errs.New(errs.Usage, "use letters, digits, dots, hyphens and underscores, such as web1", "server name %q cannot be used", name)
	}
	return nil
}

// CheckPath refuses paths that are not absolute and clean.
func CheckPath(what, p string) error {
	if !path.IsAbs(p) || path.Clean(p) != p || p == "/" || strings.ContainsRune(p, 0) {
		return errs.New(errs.Usage, "give an absolute path below a directory that the agent allows, such as /var/www/example.com",
			"%s %q is not a clean absolute path", what, p)
	}
	return nil
}

// CheckStructureOnly refuses what is no pattern of tables, and all rows
// together with tables without rows.
func CheckStructureOnly(patterns []string, allRows bool) error {
	if allRows && len(patterns) > 0 {
		return errs.New(errs.Usage, "choose one of them", "the rows of all tables, and tables without rows")
	}
	for _, p := range patterns {
		if _, err := path.Match(p, ""); err != nil || p == "" {
			return errs.New(errs.Usage, "write it as in a shell: *, ?, [a-z]", "%q is no pattern of tables", p)
		}
	}
	return nil
}

// BackupID makes the id of a backup: the site, the time in UTC and, from the
// second try on, `_N` (n counts clashes from 0).
func BackupID(site string, at time.Time, n int) string {
	id := site + "-" + at.UTC().Format(backupIDLayout)
	if n > 0 {
		id += "_" + strconv.Itoa(n)
	}
	return id
}

// ParseBackupID gives the site and time that an id names.
func ParseBackupID(id string) (site string, at time.Time, err error) {
	m := backupID.FindStringSubmatch(id)
	if m == nil || CheckSiteName(m[1]) != nil {
		return "", time.Time{}, badBackupID(id)
	}
	at, err = time.ParseInLocation(backupIDLayout, m[2], time.UTC)
	if err != nil {
		return "", time.Time{}, badBackupID(id)
	}
	return m[1], at, nil
}

func badBackupID(id string) error {
	return errs.New(errs.NotFound, "list them with: sitekeep backups", "%s is not a backup's id", fmt.Sprintf("%q", id))
}

// maxClientName is in bytes.
const maxClientName = 100

// CheckClientName refuses names that could not stand on a line of a list.
func CheckClientName(name string) error {
	odd := func(r rune) bool { return !unicode.IsPrint(r) || r == '/' }
	if name == "" || len(name) > maxClientName || name != strings.TrimSpace(name) || name[0] == '-' || strings.ContainsFunc(name, odd) {
		return errs.New(errs.Usage, "use up to 100 letters, digits, dots and hyphens, such as acme", "a client cannot be named %q", name)
	}
	return nil
}

// MaintenanceModeOf takes "auto" for the default, and leaves what is none to CheckMaintenance.
func MaintenanceModeOf(text string) MaintenanceMode {
	if text == "auto" {
		return MaintenanceAuto
	}
	return MaintenanceMode(text)
}

// CheckMaintenance refuses what is no way of keeping visitors out.
func CheckMaintenance(m MaintenanceMode) error {
	switch m {
	case MaintenanceAuto, MaintenanceInclude, MaintenanceKind:
		return nil
	}
	return errs.New(errs.Usage, "it is auto, include or kind", "there is no way of maintenance %q", m)
}
