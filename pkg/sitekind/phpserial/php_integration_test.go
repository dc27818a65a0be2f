//go:build integration

package phpserial

import (
	"os/exec"
	"strings"
	"testing"
)

// TestPHPReadsWhatIsWritten has PHP read every value that it can read before,
// and write it back as the same bytes.
func TestPHPReadsWhatIsWritten(t *testing.T) {
	const program = `$v = stream_get_contents(STDIN); $u = @unserialize($v); echo $u === false ? 'no' : (serialize($u) === $v ? 'same' : 'other');`
	php := func(value string) string {
		cmd := exec.CommandContext(t.Context(), "php", "-n", "-r", program)
		cmd.Stdin = strings.NewReader(value)
		out, err := cmd.Output()
		if err != nil {
			t.Fatal(err)
		}
		return string(out)
	}
	read := 0
	for _, c := range values {
		if c.before == c.after || !looksSerialised(c.before) {
			continue
		}
		read++
		if before, after := php(c.before), php(c.after); before == "no" || after != before {
			t.Errorf("%s: PHP says %s before and %s after", c.name, before, after)
		}
	}
	if read < 8 {
		t.Errorf("only %d values were tried", read)
	}
}
