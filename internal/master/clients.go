package master

import (
	"context"
	"sync"
)

// clientKey marks the key of a client in the queue's limits: a server may have the same name.
const clientKey = "client:"

// clientLimits are how many tasks at a time may run for each client that has a limit.
type clientLimits struct {
	mu   sync.Mutex
	most map[string]int
}

func (l *clientLimits) of(client string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.most[client]
}

func (l *clientLimits) set(most map[string]int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.most = most
}

// readLimits takes over clients' limits as they are recorded; the queue follows them at once. Tasks that run go on.
func (m *Master) readLimits(ctx context.Context) error {
	list, err := m.catalogue.Clients(ctx)
	if err != nil {
		return err
	}
	most := map[string]int{}
	for _, c := range list {
		if c.MaxTasks > 0 {
			most[c.Name] = c.MaxTasks
		}
	}
	m.clients.set(most)
	m.tasks.LimitsChanged()
	return nil
}
