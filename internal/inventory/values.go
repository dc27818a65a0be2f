package inventory

import (
	"errors"
	"math"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// size is a number of bytes, written such as 500GiB.
type size int64

func units() []struct {
	name  string
	bytes int64
} {
	return []struct {
		name  string
		bytes int64
	}{{"PiB", 1 << 50}, {"TiB", 1 << 40}, {"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}}
}

// MarshalYAML writes whole units, so that reading gives the same number.
func (s size) MarshalYAML() (any, error) {
	for _, u := range units() {
		if s != 0 && int64(s)%u.bytes == 0 {
			return strconv.FormatInt(int64(s)/u.bytes, 10) + u.name, nil
		}
	}
	return int64(s), nil
}

// UnmarshalYAML reads what MarshalYAML writes.
func (s *size) UnmarshalYAML(node *yaml.Node) error {
	digits, factor := node.Value, int64(1)
	for _, u := range units() {
		if number, found := strings.CutSuffix(node.Value, u.name); found {
			digits, factor = strings.TrimSpace(number), u.bytes
		}
	}
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || n < 0 || n > math.MaxInt64/factor {
		return at(node, errors.New("it is a size such as 500GiB, 2TiB or 1048576"))
	}
	*s = size(n * factor)
	return nil
}

// length is a length of time, written such as 90m, 24h or 7d.
type length time.Duration

const day = 24 * time.Hour

// MarshalYAML writes whole days as such.
func (l length) MarshalYAML() (any, error) {
	d := time.Duration(l)
	if d != 0 && d%day == 0 {
		return strconv.FormatInt(int64(d/day), 10) + "d", nil
	}
	text := d.String()
	for _, zero := range []string{"m0s", "h0m"} {
		if strings.HasSuffix(text, zero) {
			text = text[:len(text)-2]
		}
	}
	return text, nil
}

// UnmarshalYAML reads what MarshalYAML writes, and all that Go takes.
func (l *length) UnmarshalYAML(node *yaml.Node) error {
	bad := at(node, errors.New("it is a length of time such as 90m, 24h or 7d"))
	if days, found := strings.CutSuffix(node.Value, "d"); found {
		n, err := strconv.ParseInt(days, 10, 64)
		if err != nil || n < 0 || n > int64(math.MaxInt64/day) {
			return bad
		}
		*l = length(time.Duration(n) * day)
		return nil
	}
	d, err := time.ParseDuration(node.Value)
	if err != nil || d < 0 {
		return bad
	}
	*l = length(d)
	return nil
}
