package main

import (
	"encoding/json"
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// buildVersion is what the Go command has recorded: a tag, or the time and hash of a commit.
func buildVersion() string {
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "" {
		return "(unknown)"
	}
	return info.Main.Version
}

func newVersionCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Print this program's version", Args: arguments(0, 0),
		Long:    "Print this program's version. The master's is in the answer of: sitekeep whoami",
		Example: "  sitekeep version\n  sitekeep version -o json",
		RunE: func(*cobra.Command, []string) error {
			platform := runtime.GOOS + "/" + runtime.GOARCH
			if !a.output.json {
				_, err := fmt.Fprintf(a.out, "sitekeep %s %s %s\n", buildVersion(), runtime.Version(), platform)
				return err
			}
			out := json.NewEncoder(a.out)
			out.SetIndent("", "  ")
			return out.Encode(map[string]string{"version": buildVersion(), "go": runtime.Version(), "platform": platform})
		},
	}
}
