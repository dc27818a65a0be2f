package main

import "context"

// Names of sides that several rows have.
const (
	ours      = "sitekeep"
	oursFiles = "sitekeep, files alone"
)

const (
	aegirZstd = "the same, zstd -3 -T0"
	aegirGzip = "Aegir, staging in step"
)

func rowFirst(ctx context.Context, w *world) (*row, error) {
	r := newRow(masterCPU)
	if !w.options.peers {
		s, err := w.openSitekeep(ctx)
		if err != nil {
			r.add(ours, nil, err)
		} else {
			r.add(ours, s.backupSide(w.domain, s.backupFull), nil)
		}
	}
	if a, err := newAegir(ctx, w); err != nil {
		r.add(aegirGzip, nil, err)
	} else {
		r.add(aegirGzip, a.side("gzip", "-c"), nil)
		r.add("the same, pigz", a.side("pigz", "-c"), nil)
		r.add(aegirZstd, a.side("zstd", "-q", "-3", "-T0", "-c"), nil)
	}
	addFirst(w, r, "restic", newRestic)
	addFirst(w, r, "borg", newBorg)
	r.want(
		ratio(wall, ours, aegirGzip, 0.15), ratio(wall, ours, aegirGzip, 0.12).named("with the native dump"),
		ratio(wall, ours, "restic", 0.45), ratio(wall, ours, "borg", 0.60), ratio(wall, ours, aegirZstd, 0.80),
		ratio(archiveMB, ours, aegirZstd, 1.03), within(masterCPU, ours, 1.5))
	return r, nil
}

func addFirst(w *world, r *row, name string, open func(*world, string) (*archiver, error)) {
	a, err := open(w, name)
	if err != nil {
		r.add(name, nil, err)
		return
	}
	r.add(name, a.firstSide(), nil)
}
