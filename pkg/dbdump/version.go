package dbdump

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// Flavour is the family of a server or client program.
type Flavour string

// The flavours.
const (
	MariaDB Flavour = "mariadb"
	MySQL   Flavour = "mysql"
)

// Version of a server or client program.
type Version struct {
	Flavour             Flavour
	Major, Minor, Patch int
	Full                string // as it was reported
}

// String returns flavour and number.
func (v Version) String() string {
	return fmt.Sprintf("%s %d.%d.%d", v.Flavour, v.Major, v.Minor, v.Patch)
}

// AtLeast reports whether v is this version or a later one.
func (v Version) AtLeast(major, minor, patch int) bool {
	return v.ID() >= major*10000+minor*100+patch
}

// ID returns the number that versioned comments are compared with.
func (v Version) ID() int { return v.Major*10000 + v.Minor*100 + v.Patch }

var versionNumber = regexp.MustCompile(`(\d+)\.(\d+)\.(\d+)`)

// parseVersion reads SELECT VERSION() of a server or --version of a program:
// "10.11.6-MariaDB", "5.5.5-10.3.39-MariaDB", "8.0.36", "mysqldump  Ver 8.0.36
// for Linux on x86_64", "mariadb-dump  Ver 10.19 Distrib 10.11.6-MariaDB",
// "mysql from 11.4.2-MariaDB, client 15.2". comment is @@version_comment.
func parseVersion(s, comment string) Version {
	v := Version{Flavour: MySQL, Full: strings.TrimSpace(s)}
	if strings.Contains(strings.ToLower(s+comment), "mariadb") {
		v.Flavour = MariaDB
	}
	all := versionNumber.FindAllStringSubmatch(strings.Replace(s, "5.5.5-", "", 1), -1)
	if len(all) == 0 {
		return v
	}
	v.Major, _ = strconv.Atoi(all[0][1])
	v.Minor, _ = strconv.Atoi(all[0][2])
	v.Patch, _ = strconv.Atoi(all[0][3])
	return v
}

// skips says which versioned comments a server of this version takes for plain
// ones: those of a later version; for MariaDB those of MySQL 5.7 to 9.x too
// (mariadb.com/kb/en/comment-syntax); for MySQL those of MariaDB.
func (v Version) skips(open []byte) bool {
	mark := versionMark(open)
	if mark == 4 && v.Flavour != MariaDB {
		return true
	}
	n, id := 0, 0
	for n < 6 && mark+n < len(open) && open[mark+n] >= '0' && open[mark+n] <= '9' {
		id = id*10 + int(open[mark+n]-'0')
		n++
	}
	if n < 5 {
		return false
	}
	if v.Flavour == MariaDB && mark == 3 && id >= 50700 && id <= 99999 {
		return true
	}
	return id > v.ID()
}
