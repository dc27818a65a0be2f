package master

import (
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/sitekeep/sitekeep/internal/errs"
)

// Bandwidth bounds the bytes a second from and to one agent, all its streams together.
type Bandwidth struct {
	Default Rate            `yaml:"default"` // of servers that are not named; 0: no bound
	Servers map[string]Rate `yaml:"servers,omitempty"`
}

func (b *Bandwidth) of(server string) int64 {
	if r, ok := b.Servers[server]; ok {
		return int64(r)
	}
	return int64(b.Default)
}

// Rate is a number of bytes a second; in YAML a whole number, with or without a unit: 500KB, 20MiB.
type Rate int64

// The units; the longer names come first, because the shorter are their ends.
var rateUnits = []struct {
	name  string
	bytes int64
}{{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"KB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {"B", 1}}

// leastRate is the slowest that still carries the connection itself.
const leastRate = 4 << 10

// UnmarshalYAML implements yaml.Unmarshaler.
func (r *Rate) UnmarshalYAML(node *yaml.Node) error {
	digits, unit := strings.TrimSpace(node.Value), int64(1)
	for _, u := range rateUnits {
		if head, ok := strings.CutSuffix(digits, u.name); ok {
			digits, unit = strings.TrimSpace(head), u.bytes
			break
		}
	}
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || n < 0 || n > 1<<60/unit || n > 0 && n*unit < leastRate {
		return errs.New(errs.Usage, "give bytes a second, such as 20MiB, at least 4KiB; 0 for no bound", "line %d: bandwidth %q", node.Line, node.Value)
	}
	*r = Rate(n * unit)
	return nil
}
