package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// wire is a connection that can be cut: whoever listens at its address is
// reached no more, and what it sends back does not arrive.
func (r *rig) wire(name string) netip.AddrPort {
	switch name {
	case "web agent":
		return r.onWeb[len(r.onWeb)-1].Addr
	case "db agent":
		return r.onDB.Addr
	}
	return r.db.Addr
}

// cut has the firewall of this network namespace treat all packets of a wire
// so: "drop", or "reject with tcp reset". mend takes it back.
func (r *rig) cut(ctx context.Context, wire, verdict string) (mend func() error, err error) {
	at := r.wire(wire)
	table := "inet chaos_" + strings.ReplaceAll(filepath.Base(r.Dir()), "-", "_")
	rules := fmt.Sprintf(`table %[1]s { chain output { type filter hook output priority 0;
		ip daddr %[2]s tcp dport %[3]d %[4]s
		ip saddr %[2]s tcp sport %[3]d %[4]s
	}
	}`, table, at.Addr(), at.Port(), verdict)
	if err := nft(ctx, rules); err != nil {
		return nil, err
	}
	return func() error { return nft(context.WithoutCancel(ctx), "delete table "+table) }, nil
}

func nft(ctx context.Context, rules string) error {
	cmd := exec.CommandContext(ctx, "nft", "-f", "-")
	cmd.Stdin = strings.NewReader(rules)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("nft: %w: %s", err, out)
	}
	return nil
}

// partition cuts a wire at any moment, for at most so long.
func partition(wire, verdict string, most time.Duration) strike {
	return func(ctx context.Context, r *rig, f *fault, _ target) error {
		at, lasts := f.instant(r), time.Duration(f.random.Int64N(int64(most)))
		f.said += fmt.Sprintf(" for %v", lasts.Round(time.Millisecond))
		time.Sleep(at)
		mend, err := r.cut(ctx, wire, verdict)
		if err != nil {
			return err
		}
		time.Sleep(lasts)
		return mend()
	}
}

// until does harm at any moment of the operation, and mends it when the task
// has ended all the same, or after most.
func until(most time.Duration, harm func(ctx context.Context, r *rig) (mend func() error, err error)) strike {
	return func(ctx context.Context, r *rig, f *fault, t target) error {
		time.Sleep(f.instant(r))
		mend, err := harm(ctx, r)
		if err != nil {
			return err
		}
		bounded, cancel := context.WithTimeout(ctx, most)
		defer cancel()
		err = r.ended(bounded, t.task)
		if bounded.Err() != nil {
			f.said += fmt.Sprintf(" for %v", most)
			err = nil
		}
		return errors.Join(err, mend())
	}
}
