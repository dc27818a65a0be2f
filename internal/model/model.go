// Package model holds the plain types that the master's parts share: servers,
// sites, backups, tasks and their identifiers. It does no input or output and
// knows nothing of how they are kept or sent.
package model

import (
	"math"
	"time"
)

// Role is what a server's agent serves.
type Role string

// The roles.
const (
	RoleWeb Role = "web" // site files, settings and vhosts
	RoleDB  Role = "db"  // databases, users and grants
)

// Server is a machine with an agent that has joined, or may join with a token.
type Server struct {
	Name     string
	Roles    []Role
	Address  string // host:port the master dials; empty if the agent dials out
	DialOut  bool
	Revoked  bool
	Serial   string // of the newest certificate, hexadecimal
	NotAfter time.Time
	JoinedAt time.Time
}

// HasRole reports whether the server has the role.
func (s *Server) HasRole(r Role) bool {
	for _, have := range s.Roles {
		if have == r {
			return true
		}
	}
	return false
}

// VhostMode says who owns a site's virtual host.
type VhostMode string

// The modes.
const (
	VhostManaged  VhostMode = "managed"  // Sitekeep writes it
	VhostExternal VhostMode = "external" // the operator does
)

// MaintenanceMode says how visitors are kept out of a site whose virtual host is the operator's.
type MaintenanceMode string

// The modes.
const (
	MaintenanceAuto    MaintenanceMode = ""        // by the include, or the site's own switch where that is not included
	MaintenanceInclude MaintenanceMode = "include" // by a line in the virtual host
	MaintenanceKind    MaintenanceMode = "kind"    // by a file of the site's own kind
)

// Database is what a site uses on its database server. There is no password in it, anywhere.
type Database struct {
	Name string
	User string
	Host string // as the site's settings name it: host, host:port or host:/socket
}

// A disabled site is in maintenance under a name that no task has, with a lease that does not end: whatever tasks begin and
// end beside it, it stays closed.
const (
	HolderDisabled = "disabled"
	Forever        = time.Duration(math.MaxInt64)
)

// Site is what is backed up.
type Site struct {
	Name       string // its main domain
	Aliases    []string
	Kind       string   // see pkg/sitekind
	WebServers []string // the first one is read for backups; all are written by restores
	DBServer   string   // empty for a site without a database
	Root       string   // absolute, on each web server
	Docroot    string   // absolute; Root itself unless said otherwise
	Database   Database
	Client     string
	Excludes   []string
	// ExcludeCaches leaves what CACHEDIR.TAG marks out of backups.
	ExcludeCaches bool
	// StructureOnly are patterns (path.Match) of tables whose rows backups leave out, beside those that the kind knows.
	StructureOnly []string
	// AllRows takes the rows of all tables; StructureOnly is empty then.
	AllRows bool
	// BlankCredentials empties the database's password in the settings files that backups have.
	BlankCredentials bool
	Vhost            VhostMode
	// Maintenance is how visitors are kept out behind a virtual host of the operator's.
	Maintenance MaintenanceMode
	// Disabled is offline: each web server keeps visitors out in the name of HolderDisabled.
	Disabled  bool
	CreatedAt time.Time
}

// Origin says why a backup was made; it decides what retention may do with it.
type Origin string

// The origins.
const (
	OriginManual    Origin = "manual"
	OriginSafety    Origin = "safety"
	OriginScheduled Origin = "scheduled"
	OriginImported  Origin = "imported" // made of a tarball from elsewhere
)

// Backup is one tarball in the store, as the catalogue lists it.
type Backup struct {
	ID          string
	Site        string
	CreatedAt   time.Time
	Description string
	Format      string // "tar.zst" or "tar.gz"
	Size        int64  // bytes of the tarball
	NewBytes    int64  // of them, bytes that were not taken over from the base
	PlainSize   int64  // bytes of the tar stream before compression
	Files       int64  // entries in the site's tree
	Digest      string // "sha256:" and hexadecimal, over the index
	Pinned      bool
	PinReason   string
	Origin      Origin
	Warnings    []string
	Tables      int64
	Rows        int64
	TaskID      string
}

// TaskState is where a task stands.
type TaskState string

// The states, in the order in which a task may pass through them.
const (
	TaskQueued        TaskState = "queued"
	TaskRunning       TaskState = "running"
	TaskSucceeded     TaskState = "succeeded"
	TaskWarning       TaskState = "warning" // done, with warnings
	TaskFailed        TaskState = "failed"  // and undone, if there was something to undo
	TaskCancelled     TaskState = "cancelled"
	TaskNeedsOperator TaskState = "needs_operator" // an undo could not be done; the log has the commands
)

// Final reports whether the task has ended.
func (s TaskState) Final() bool { return s != TaskQueued && s != TaskRunning }

// TaskKind is what a task does.
type TaskKind string

// The kinds.
const (
	TaskBackup  TaskKind = "backup"
	TaskRestore TaskKind = "restore"
	TaskUndo    TaskKind = "undo"   // takes back a committed restore within its grace time
	TaskFinish  TaskKind = "finish" // removes what a committed restore had kept for its grace time
	TaskVerify  TaskKind = "verify"
	TaskCheck   TaskKind = "check"
	TaskDelete  TaskKind = "delete"
	TaskPrune   TaskKind = "prune"  // removes the backups that retention lets go
	TaskDrill   TaskKind = "drill"  // restores into a scratch place, and removes it
	TaskDeploy  TaskKind = "deploy" // makes a site out of a backup of any
	TaskClone   TaskKind = "clone"  // backs a site up and makes another one out of that

	TaskMigrate TaskKind = "migrate" // moves a site to other servers
	TaskDisable TaskKind = "disable" // takes a site offline
	TaskEnable  TaskKind = "enable"  // lets visitors in again
)

// Task is one queued piece of work.
type Task struct {
	ID          string // ULID: sorts by time of creation
	Kind        TaskKind
	Site        string
	State       TaskState
	Spec        []byte // JSON of the kind's own request; holds no secret
	Result      []byte // JSON of the kind's own outcome
	Error       string
	ErrorKind   string // errs.Kind by name
	Hint        string
	Attempt     int
	CancelAsked bool
	CreatedAt   time.Time
	StartedAt   time.Time
	FinishedAt  time.Time
	Progress    Progress
}

// Progress is how far a running task is.
type Progress struct {
	Step  string // what it does now
	Done  int64  // bytes
	Total int64  // bytes; 0 if not known
	Files int64
}

// Level is the weight of a log line.
type Level string

// The levels.
const (
	LevelInfo  Level = "info"
	LevelWarn  Level = "warning"
	LevelError Level = "error"
)

// LogLine is one line of a task's log.
type LogLine struct {
	Seq   int64 // 1, 2, 3… within the task
	Time  time.Time
	Level Level
	Text  string
}
