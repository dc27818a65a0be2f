package fleet

import (
	"context"

	"golang.org/x/time/rate"
	"google.golang.org/protobuf/proto"
)

// Option changes how a Fleet works.
type Option func(*Fleet)

// WithBandwidth bounds the bytes a second that streams carry from and to one
// agent, all of them together; of gives the bound of a server, 0 for none.
//
// The brake is on this side of the connection, message by message: a stream whose messages
// are not taken fills gRPC's window, and then the agent's Send waits. The
// connection itself is read all the time, so that pings are answered.
func WithBandwidth(of func(server string) int64) Option {
	return func(f *Fleet) { f.bandwidth = of }
}

// WithArrivals calls arrived when an agent that dials out has connected. It must be quick.
func WithArrivals(arrived func(server string)) Option {
	return func(f *Fleet) { f.arrived = arrived }
}

// burst is how many bytes may pass at once after a pause.
const burst = 256 << 10

// brake returns the limiter that all streams of a server share; nil if it has no bound.
func (f *Fleet) brake(server string) *rate.Limiter {
	bytes := f.bandwidth(server)
	if bytes <= 0 {
		return nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.brakes[server] == nil {
		f.brakes[server] = rate.NewLimiter(rate.Limit(bytes), burst)
	}
	return f.brakes[server]
}

// slowRecv takes a message from a stream, and then waits as long as it takes to carry it.
func slowRecv[M proto.Message](ctx context.Context, a *Agent, recv func() (M, error)) (M, error) {
	m, err := recv()
	if err == nil {
		err = a.slow(ctx, m)
	}
	return m, err
}

// slow waits until a message may pass.
func (a *Agent) slow(ctx context.Context, m proto.Message) error {
	if a.brake == nil {
		return nil
	}
	for left := proto.Size(m); left > 0; left -= burst {
		if err := a.brake.WaitN(ctx, min(left, burst)); err != nil {
			return err
		}
	}
	return nil
}
