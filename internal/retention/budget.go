package retention

import (
	"maps"
	"slices"
)

// apply lets go of the oldest backups that nothing protects until each client,
// and then all together, are within their budgets.
func (b Budgets) apply(decisions []Decision) []Excess {
	if b.Total <= 0 && b.Standard <= 0 && len(b.Clients) == 0 {
		return nil
	}
	var excess []Excess
	oldest := oldestFirst(decisions)
	sizes := map[string]int64{}
	for i := range decisions {
		if decisions[i].Keep {
			sizes[decisions[i].Backup.Client] += decisions[i].Backup.Size
		}
	}
	for _, d := range oldest {
		client := d.Backup.Client
		if most := b.client(client); most > 0 && sizes[client] > most {
			sizes[client] -= d.Backup.Size
			d.drop(OverClient)
		}
	}
	total := int64(0)
	for _, client := range slices.Sorted(maps.Keys(sizes)) {
		total += sizes[client]
		if most := b.client(client); most > 0 && sizes[client] > most {
			excess = append(excess, Excess{Client: client, Size: sizes[client], Most: most})
		}
	}
	for _, d := range oldest {
		if b.Total > 0 && total > b.Total && d.Keep {
			total -= d.Backup.Size
			d.drop(OverTotal)
		}
	}
	if b.Total > 0 && total > b.Total {
		excess = append(excess, Excess{Size: total, Most: b.Total})
	}
	return excess
}

func (d *Decision) drop(why Rule) {
	d.Keep = false
	d.Reasons = []Reason{{Rule: why}}
}

// oldestFirst returns the kept decisions that a budget may overrule.
func oldestFirst(decisions []Decision) []*Decision {
	var list []*Decision
	for i := range decisions {
		d := &decisions[i]
		if d.Keep && !slices.ContainsFunc(d.Reasons, func(r Reason) bool { return r.Rule.protects() }) {
			list = append(list, d)
		}
	}
	slices.SortStableFunc(list, func(a, b *Decision) int { return a.Backup.At.Compare(b.Backup.At) })
	return list
}
