package webui

import (
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"
)

func TestAgo(t *testing.T) {
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	for off, want := range map[time.Duration]string{
		0: "just now", -59 * time.Second: "just now", 59 * time.Second: "in a moment", -time.Minute: "1 minute ago", time.Minute: "in 1 minute",
		-47 * time.Hour: "47 hours ago", -48 * time.Hour: "2 days ago", 23*time.Hour + 59*time.Minute: "in 23 hours",
	} {
		if got := ago(now, timestamppb.New(now.Add(off))); got != want {
			t.Errorf("%s off is %q, want %q", off, got, want)
		}
	}
	if got := ago(now, nil); got != "" {
		t.Errorf("never is %q", got)
	}
}
