package model

import (
	"crypto/sha256"
	"time"
)

// What an agent is told, and tells, in plain types.

// SiteRef says to an agent which site a call is about.
type SiteRef struct {
	Name    string
	Kind    string
	Root    string
	Docroot string
	Aliases []string

	// External: its virtual host is the operator's.
	External bool
	// Maintenance is how visitors are kept out then.
	Maintenance MaintenanceMode
}

// Ref is what agents are told of the site.
func (s *Site) Ref() SiteRef {
	return SiteRef{Name: s.Name, Kind: s.Kind, Root: s.Root, Docroot: s.Docroot, Aliases: s.Aliases, External: s.Vhost == VhostExternal,
		Maintenance: s.Maintenance}
}

// AgentInfo is what an agent says of itself.
type AgentInfo struct {
	Version         string
	Hostname        string
	Roles           []string
	Now             time.Time
	Roots           []AllowedRoot
	Databases       []string
	Webserver       string
	DatabaseServer  string
	DatabaseAddress string // host:port for web servers
	DumpProgram     string
	CertNotAfter    time.Time
	Problems        []string
	Load            float64 // processes that ran or waited, on average over five minutes
	Processors      int32
}

// AllowedRoot is a directory below which an agent reads and writes.
type AllowedRoot struct {
	Path                  string
	FreeBytes, FreeInodes uint64
}

// TreeState is what there is of a site's directory on a web server.
type TreeState struct {
	LiveInode   uint64 // 0: there is none
	StagedInode uint64 // 0: there is none
	FreeBytes   uint64
	FreeInodes  uint64 // 0: not counted
	Empty       bool   // there is a live directory, and nothing in it
	NoParent    bool   // the directory that the live one lies in, or would, is not there
}

// StagedTree is what was made of a tarball beside a live tree.
type StagedTree struct {
	Inode    uint64
	Warnings []string
	// What was taken over from the live tree, and so was not sent.
	TakenFiles, TakenBytes uint64
}

// TreeDifferences is how a live tree differs from a backup, as a restore would bring it about.
type TreeDifferences struct {
	Added, Changed, Removed TreeDifference
	Warnings                []string
}

// TreeDifference is one sort of them.
type TreeDifference struct {
	Entries, Bytes uint64
	Paths          []string // the first of them
}

// DatabaseSettings is what a site's settings say of its database, without the password.
type DatabaseSettings struct {
	Host string // host, host:port or host:/socket
	Name string
	User string
	File string
	// RebuiltTables are patterns of tables whose rows the site makes again by itself.
	RebuiltTables []string
}

// Detection is what an agent found in a directory.
type Detection struct {
	Kind       string
	Version    string
	Settings   *DatabaseSettings // nil if there are none
	Problem    string            // why not
	RootExists bool
}

// Table is one table or view of a database.
type Table struct {
	Name   string
	View   bool
	Rows   uint64
	Engine string
	// Checksum is that of the rows in a dump, in hexadecimal; empty if unknown.
	Checksum string
	// StructureOnly says that a dump has left its rows out on purpose.
	StructureOnly bool
}

// FoundSite is a site that an agent has found by itself.
type FoundSite struct {
	Site     SiteRef // its name is empty if nothing names it
	Version  string
	Settings *DatabaseSettings // nil if there are none
	Problem  string            // why it cannot be backed up as it is
	// VhostFile is the file with its virtual host; empty if it was found by its directory alone.
	VhostFile string
	Warnings  []string
	FileBytes int64
}

// DatabaseState is what an agent sees of a database.
type DatabaseState struct {
	Exists             bool
	Charset, Collation string
	Tables             []Table
	Bytes              uint64
	FreeBytes          uint64 // 0: not known
	Server             string
	UnknownCollations  []string
}

// DumpSummary ends a complete dump.
type DumpSummary struct {
	Charset, Collation string
	Collations         []string
	Server             string
	Tables             []Table // exact rows
}

// NewDatabase says what to make on a database server. Password is a secret and
// is never kept by the master.
type NewDatabase struct {
	Name, Charset, Collation string
	User, Password           string
	Hosts                    []string
	Adopt                    bool // it may be there from an earlier try of the same task
}

// ImportSummary is what an import has done.
type ImportSummary struct {
	Bytes, Statements uint64
	Tables            []Table // exact rows, counted in the database
	Warnings          []string
}

// Notice is a warning about one thing: a path, or a table.
type Notice struct {
	Subject string
	Text    string
}

// Closing says what a begun maintenance is worth.
type Closing struct {
	Warning string // why visitors may get through; empty if they do not
	By      string // what keeps them out, if that is not the virtual host
}

// PageProbe is what a web server answered for a page of a site.
type PageProbe struct {
	Status      int // 0: no answer
	Location    string
	BodyBytes   int64
	Problem     string // why the answer is not that of a working site; empty when it is
	Took        time.Duration
	Maintenance bool // it was our own maintenance page
}

// DatabaseProbe is how a site's own credentials fared.
type DatabaseProbe struct {
	Problem  string
	Settings DatabaseSettings
	Tables   int64
	// MissingPrivileges are those that its account lacks and such sites need.
	MissingPrivileges []string
}

// VhostDrift is how a managed virtual host differs from what would be written.
type VhostDrift struct {
	Reason string   // empty if it does not
	Lines  []string // that would go ("- …") and come ("+ …")
}

// Permissions is how a site's modes and owners differ from what its kind wants.
type Permissions struct {
	Differences []string // at most 100
	Count       int64
}

// TreeRequest says what to read of a site's directory.
type TreeRequest struct {
	Site          SiteRef
	Format        string
	Level         int // 0: the default
	Excludes      []string
	Salvage       bool // leave out what cannot be read, even the root
	NoDump        bool // the tarball will hold no dump
	ExcludeCaches bool // leave out what CACHEDIR.TAG marks
	BaseStartedAt time.Time
	// Partial says that base 0 is what came of this tree before its stream broke, and base 1 the earlier backup.
	Partial          bool
	PartialStartedAt time.Time // of the first walk that broke, by the agent's clock; zero: not known
	ReadAll          bool      // read what seems unchanged too, and warn of what changed unseen
	SendAll          bool      // take nothing over from the earlier backup
	Gentle           bool      // visitors go first
	// Begun, if not nil, is called once, when the agent begins to walk, with the time by its clock.
	Begun func(at time.Time)
	// BlankCredentials sends the settings files with an empty password. An agent that cannot is refused. Blanked, if not nil,
	// is called with their paths below the root before anything of the tree comes.
	BlankCredentials bool
	Blanked          func(paths []string)
	// Torn, if not nil, has frames come in parts, so that a stream that breaks tears little. It holds what came of the frame
	// that the stream before broke in, and afterwards that of this one's.
	Torn *TornFrame
}

// TornFrame is the beginning of a frame's compressed data, which a stream broke in. The zero value is of none.
type TornFrame struct {
	Hash [sha256.Size]byte // of the whole data
	Data []byte
}

// DumpRequest says what to dump.
type DumpRequest struct {
	Database string
	Format   string
	Level    int
	Salvage  bool
	Gentle   bool // visitors go first
	// Begun, if not nil, is called once, when the database server has answered the agent.
	Begun func()
	// StructureOnly are patterns of tables whose rows are left out.
	StructureOnly []string
}

// Trigger is what makes a trigger of a table again.
type Trigger struct {
	Name, Timing, Event, Statement, SQLMode, Collation, Definer string
}

// TableDetail is what an exchange of tables must know of one.
type TableDetail struct {
	Name     string
	Kind     string // "table", "view" or "sequence"; "": it is not there
	Triggers []Trigger
	Related  []string // tables that foreign keys bind it to, but itself
	View     *ViewDefinition
	Broken   string // why a view cannot be used; "": it can
}

// ViewDefinition is what makes a view again. Body is CREATE VIEW from the name on, in bytes of Charset.
type ViewDefinition struct {
	Algorithm, Security, Definer string
	Body                         []byte
	Charset, Collation           string
}

// TableSwap is one table of an exchange, as it was before.
type TableSwap struct {
	Name     string
	Existed  bool // there is an old table
	Old, New []Trigger
	// Of a view, in place of all that. Without an old one there was no such view.
	OldView *ViewDefinition `json:",omitempty"`
	NewView *ViewDefinition `json:",omitempty"`
}

// TableExchange puts tables of one database in place of those of another.
type TableExchange struct {
	Live, Scratch, Kept string // the old tables go to Kept
	Tables              []TableSwap
	Back                bool
	User                string // as whom new triggers run
}

// PathState is what lies at a path of the live and of the staged tree. Path is raw bytes ("./a/b").
type PathState struct {
	Path         []byte
	Live, Staged uint64 // inodes; 0: it is not there
}

// Move says what a site was called and where it lay, and what is in its place.
type Move struct {
	Names, Paths []Replacement
	Relative     []Replacement `json:",omitempty"` // below the docroot
}

// Replacement is what was, and what is in its place.
type Replacement struct{ Old, New string }

// RewrittenTable is how much of a table has changed.
type RewrittenTable struct {
	Name         string
	Rows, Values int64
}

// VhostState is what there is of a site's virtual host among those that an agent writes.
type VhostState struct {
	Exists  bool
	Managed bool // the agent wrote it
}

// Hook is what a task tells the programs that an operator has put before and after it.
type Hook struct {
	Event   string // "before" or "after", a hyphen, and the task's kind
	Task    string // its id
	Backup  string // that it makes or uses; empty if there is none, or none yet
	Outcome string // after it: "succeeded", "failed" or "cancelled"
}
