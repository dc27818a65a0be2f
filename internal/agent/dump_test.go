package agent

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sitekeep/sitekeep/internal/agent/config"
	"github.com/sitekeep/sitekeep/pkg/dbdump"
	agentv1 "github.com/sitekeep/sitekeep/proto/sitekeep/agent/v1"
)

// How a server is read is the agent's own setting; patterns of tables without
// rows add up.
func TestDumpOptionsOfHeaderAndSettings(t *testing.T) {
	a := &Agent{cfg: &config.Config{MySQL: &config.MySQL{Dump: config.Dump{
		Engine: "client", Parallel: 3, StructureOnly: []string{"own_*"}, LockTables: true, MaxThreadsRunning: 9,
	}}}}
	want := dbdump.DumpOptions{
		Database: "shop", Engine: dbdump.EngineClient, Parallel: 3, StructureOnly: []string{"own_*"}, LockTables: true, MaxThreadsRunning: 9,
	}
	if diff := cmp.Diff(want, a.databaseOptions(&agentv1.DumpHeader{Name: "shop"})); diff != "" {
		t.Error(diff)
	}
	want = dbdump.DumpOptions{
		Database: "shop", Engine: dbdump.EngineClient, Parallel: 3, StructureOnly: []string{"own_*", "cache*"}, Salvage: true, LockTables: true, MaxThreadsRunning: 9,
	}
	header := &agentv1.DumpHeader{Name: "shop", StructureOnly: []string{"cache*"}, Salvage: true}
	if diff := cmp.Diff(want, a.databaseOptions(header)); diff != "" {
		t.Error(diff)
	}
}

// The limit is the operator's; the degree of the master's asking is bounded.
func TestImportOptionsOfHeaderAndSettings(t *testing.T) {
	a := &Agent{cfg: &config.Config{MySQL: &config.MySQL{Import: config.Import{MaxThreadsRunning: 7}}}}
	header := &agentv1.ImportHeader{Name: "shop", User: "u", Parallel: 99, Tables: []string{"t"}}
	got := a.importOptions(header)
	got.Password = dbdump.Secret{}
	want := dbdump.ImportOptions{Database: "shop", User: "u", Parallel: mostParallel, Tables: []string{"t"}, MaxRunning: 7}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestDumpedTablesHaveChecksums(t *testing.T) {
	dumped := dbdump.DumpSummary{Sections: []dbdump.SectionStats{
		{Section: dbdump.Section{Kind: dbdump.SectionStructure, Name: "a"}},
		{Section: dbdump.Section{Kind: dbdump.SectionData, Name: "a"}, Rows: 2, Checksum: 0xbeef},
		{Section: dbdump.Section{Kind: dbdump.SectionStructure, Name: "empty"}},
		{Section: dbdump.Section{Kind: dbdump.SectionView, Name: "v"}},
	}}
	dumped.StructureOnly = []string{"empty"}
	got := map[string]string{}
	for _, table := range dumpedTables(dbdump.DatabaseInfo{}, dumped) {
		got[table.GetName()] = table.GetChecksum()
		if table.GetStructureOnly() != (table.GetName() == "empty") {
			t.Errorf("%v: its rows were left out, or not", table)
		}
	}
	want := map[string]string{"a": "000000000000beef", "empty": "0000000000000000", "v": ""}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
