package fleet_test

import (
	"context"
	"slices"
	"testing"

	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/internal/model"
	"github.com/sitekeep/sitekeep/pkg/archive"
	agentv1 "github.com/sitekeep/sitekeep/proto/sitekeep/agent/v1"
)

// TestAnAgentThatDoesNotBlankIsRefused before anything of the site is taken: it would send the password.
func TestAnAgentThatDoesNotBlankIsRefused(t *testing.T) {
	start := func(s *agentv1.ReadTreeStart) *agentv1.ReadTreeResponse {
		return &agentv1.ReadTreeResponse{Message: &agentv1.ReadTreeResponse_Start{Start: s}}
	}
	for what, c := range map[string]struct {
		messages []*agentv1.ReadTreeResponse
		want     error
		blanked  []string
	}{
		"an old one":           {[]*agentv1.ReadTreeResponse{start(&agentv1.ReadTreeStart{}), warning()}, errs.New(errs.Precondition, "", ""), nil},
		"one that can":         {[]*agentv1.ReadTreeResponse{start(&agentv1.ReadTreeStart{BlanksCredentials: true, Blanked: [][]byte{[]byte("a.php")}}), warning()}, nil, []string{"a.php"}},
		"one that cannot tell": {[]*agentv1.ReadTreeResponse{{Message: &agentv1.ReadTreeResponse_Frame{Frame: &agentv1.Frame{}}}}, errs.New(errs.Precondition, "", ""), nil},
	} {
		t.Run(what, func(t *testing.T) {
			r := newRig(t)
			web1, _ := r.web1(&agent{readTree: func(s agentv1.TreeService_ReadTreeServer) error {
				for _, m := range append(c.messages, &agentv1.ReadTreeResponse{Message: &agentv1.ReadTreeResponse_Summary{Summary: &agentv1.StreamSummary{}}}) {
					if err := s.Send(m); err != nil {
						return err
					}
				}
				return nil
			}})
			var blanked []string
			came := 0
			_, err := web1.ReadTree(t.Context(), model.TreeRequest{
				Format: "tar.zst", BlankCredentials: true, Blanked: func(paths []string) { blanked = paths },
			}, nil, func(context.Context, archive.Item) error { came++; return nil })
			if (err == nil) != (c.want == nil) || err != nil && (!errs.Is(err, errs.KindOf(c.want)) || errs.HintOf(err) == "" || came > 0) {
				t.Errorf("%d items, %v", came, err)
			}
			if !slices.Equal(blanked, c.blanked) {
				t.Errorf("blanked %q", blanked)
			}
		})
	}
}
