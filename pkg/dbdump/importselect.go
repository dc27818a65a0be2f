package dbdump

import (
	"maps"
	"slices"
	"strings"
)

// wanted reports whether a statement runs under ImportOptions.Tables.
func (im *importer) wanted(s Section, h head) bool {
	if im.chosen == nil {
		return true
	}
	switch s.Kind {
	case SectionPreamble, SectionTrailer, SectionSequence:
		return true
	case SectionStructure, SectionData, SectionTriggers:
		if _, ok := im.chosen[s.Name]; ok {
			im.chosen[s.Name] = true
			return true
		}
	}
	return h.verb == "SET" // of the session
}

// checkChosen names the tables that were asked for and are not in the dump.
func (im *importer) checkChosen() error {
	var missing []string
	for _, name := range slices.Sorted(maps.Keys(im.chosen)) {
		if !im.chosen[name] {
			missing = append(missing, QuoteIdent(name))
		}
	}
	if missing == nil {
		return nil
	}
	return failAs(KindInvalid, opImport, im.o.Database, "name tables that the dump has, exactly as they are written there",
		"the dump has no table %s", strings.Join(missing, ", "))
}
