package retention

import (
	"cmp"
	"maps"
	"slices"
	"time"
)

// apply lets go of the oldest backups that nothing protects until each client,
// and then all together, are within their budgets.
func (b Budgets) apply(decisions []Decision) []Excess {
	sizes, exceeded := b.sizes(decisions)
	if !exceeded {
		return nil
	}
	var excess []Excess
	oldest := oldestFirst(decisions)
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

// sizes adds up what is kept, by client, and says whether any budget is exceeded.
func (b Budgets) sizes(decisions []Decision) (sizes map[string]int64, exceeded bool) {
	if b.Total <= 0 && b.Standard <= 0 && len(b.Clients) == 0 {
		return nil, false
	}
	sizes = map[string]int64{}
	total := int64(0)
	for i := range decisions {
		if d := &decisions[i]; d.Keep {
			sizes[d.Backup.Client] += d.Backup.Size
			total += d.Backup.Size
		}
	}
	exceeded = b.Total > 0 && total > b.Total
	for client, size := range sizes {
		most := b.client(client)
		exceeded = exceeded || most > 0 && size > most
	}
	return sizes, exceeded
}

func (d *Decision) drop(why Rule) {
	d.Keep = false
	d.Reasons = []Reason{{Rule: why}}
}

// oldestFirst returns the kept decisions that a budget may overrule; of those of one time, as they stand in the plan.
func oldestFirst(decisions []Decision) []*Decision {
	type aged struct { // sorting pointers would look into 300,000 backups again and again
		at time.Time
		i  int
	}
	var ages []aged
	for i := range decisions {
		d := &decisions[i]
		if d.Keep && !slices.ContainsFunc(d.Reasons, func(r Reason) bool { return r.Rule.protects() }) {
			ages = append(ages, aged{d.Backup.At, i})
		}
	}
	slices.SortFunc(ages, func(a, b aged) int { return cmp.Or(a.at.Compare(b.at), cmp.Compare(a.i, b.i)) })
	list := make([]*Decision, len(ages))
	for n, one := range ages {
		list[n] = &decisions[one.i]
	}
	return list
}
