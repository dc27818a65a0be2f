package dbdump

import "sort"

// SectionKind says what a part of a dump holds.
type SectionKind string

// The kinds of sections, about in the order in which a dump has them.
const (
	SectionPreamble    SectionKind = "preamble"         // session settings; no name
	SectionSequence    SectionKind = "sequence"         // named by sequence (MariaDB)
	SectionStructure   SectionKind = "structure"        // named by table
	SectionData        SectionKind = "data"             // named by table
	SectionTriggers    SectionKind = "triggers"         // named by table
	SectionPlaceholder SectionKind = "view placeholder" // named by view: a stand-in that other views can use
	SectionEvents      SectionKind = "events"           // all events; no name
	SectionRoutines    SectionKind = "routines"         // all functions, procedures, packages; no name
	SectionView        SectionKind = "view"             // named by view
	SectionTrailer     SectionKind = "trailer"          // restores session settings; ends with the end mark
)

// Section is a part of a dump. A dump is the concatenation of its sections.
type Section struct {
	Kind SectionKind
	Name string // of the table, view or sequence; empty for the other kinds
}

// String returns kind and name, for messages.
func (s Section) String() string {
	if s.Name == "" {
		return string(s.Kind)
	}
	return string(s.Kind) + " of " + QuoteIdent(s.Name)
}

// SectionStats is what was counted in one section.
type SectionStats struct {
	Section
	Bytes      int64
	Statements int64
	Rows       int64 // rows of INSERT statements
	// Checksum is the sum, modulo 2^64, of a hash of every row's text as it
	// stands in the dump, from parenthesis to parenthesis. It does not depend on
	// the order of the rows, nor on where statements end.
	Checksum uint64
}

// WarningCode says what a Warning is about.
type WarningCode string

// The warnings.
const (
	WarnNotTransactional WarningCode = "not-transactional" // Subject: table; not part of the one snapshot
	WarnSkipped          WarningCode = "skipped"           // Subject: table, view, trigger...; not or only partly in the dump
	WarnForeignSequence  WarningCode = "foreign-sequence"  // Subject: table; a default uses a sequence of another database
	WarnDefinerKept      WarningCode = "definer-kept"      // Subject: account that must live as long as the database
	WarnEngine           WarningCode = "engine"            // Subject: database; another engine or fewer connections than asked for
	WarnProgram          WarningCode = "program"           // the dump program said something, but did not fail
	WarnData             WarningCode = "data"              // Subject: table; the server changed a value while importing it
	WarnDropped          WarningCode = "dropped"           // Subject: statement of a foreign dump that was left out
)

// Warning is something that an operator should see, though the work was done.
type Warning struct {
	Code    WarningCode
	Subject string
	Message string
}

// maxWarnings bounds what one dump or import reports.
const maxWarnings = 1000

// warnings collects warnings up to a bound.
type warnings struct{ list []Warning }

func (w *warnings) add(code WarningCode, subject, message string) {
	if len(w.list) < maxWarnings {
		w.list = append(w.list, Warning{Code: code, Subject: subject, Message: message})
	}
}

// tally counts what flows by, section by section.
type tally struct {
	sections []SectionStats
	total    SectionStats
}

func (t *tally) begin(s Section) {
	t.sections = append(t.sections, SectionStats{Section: s})
}

func (t *tally) add(bytes int, rows int64, statement bool) {
	cur := &t.sections[len(t.sections)-1]
	for _, s := range []*SectionStats{cur, &t.total} {
		s.Bytes += int64(bytes)
		s.Rows += rows
		if statement {
			s.Statements++
		}
	}
}

// addSum adds what the rows of a chunk come to.
func (t *tally) addSum(sum uint64) {
	t.sections[len(t.sections)-1].Checksum += sum
	t.total.Checksum += sum
}

// tableChecksums returns the checksums by table, in hexadecimal. Tables without rows are in it as well.
func tableChecksums(sections []SectionStats) map[string]string {
	sums := map[string]uint64{}
	for _, s := range sections {
		if s.Kind == SectionStructure || s.Kind == SectionData {
			sums[s.Name] += s.Checksum
		}
	}
	texts := map[string]string{}
	for name, sum := range sums {
		texts[name] = checksumText(sum)
	}
	return texts
}

// tableRows sums rows by table. Tables without rows are in it as well.
func tableRows(sections []SectionStats) map[string]int64 {
	rows := map[string]int64{}
	for _, s := range sections {
		if s.Kind == SectionStructure || s.Kind == SectionData {
			rows[s.Name] += s.Rows
		}
	}
	return rows
}

// sortedKeys returns the keys of a set.
func sortedKeys(set map[string]bool) []string {
	keys := make([]string, 0, len(set))
	for k := range set {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	return keys
}
