package main

import (
	"bytes"
	"strings"
	"testing"

	"google.golang.org/protobuf/types/known/timestamppb"

	sitekeepv1 "github.com/sitekeep/sitekeep/proto/sitekeep/v1"
)

// A log that is not kept any more is not the log of a task that had nothing to say.
func TestAForgottenLogIsNamed(t *testing.T) {
	ended := &sitekeepv1.Task{FinishedAt: timestamppb.Now()}
	for name, row := range map[string]struct {
		task  *sitekeepv1.Task
		lines int
		want  bool
	}{
		"ended, without lines": {ended, 0, true}, "ended": {ended, 3, false},
		"queued": {&sitekeepv1.Task{}, 0, false}, "no task came": {nil, 0, false},
	} {
		var said bytes.Buffer
		(&app{stdio: stdio{err: &said}}).noteForgotten(row.task, row.lines)
		if got := strings.Contains(said.String(), "keep_task_logs"); got != row.want {
			t.Errorf("%s: %q", name, said.String())
		}
	}
}
