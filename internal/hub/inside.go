package hub

import (
	"context"
	"net"
	"sync"

	"google.golang.org/grpc/metadata"

	"github.com/sitekeep/sitekeep/internal/catalogue"
	"github.com/sitekeep/sitekeep/internal/errs"
)

// SessionKey is under which metadata the pages send the session's token of the user for whom they call.
const SessionKey = "sitekeep-session"

// Inside is a listener without an address, for callers in the same process: the pages. A caller is the user whose
// session it names with each call, and nobody without one.
type Inside struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

// NewInside returns an open listener.
func NewInside() *Inside {
	return &Inside{conns: make(chan net.Conn), closed: make(chan struct{})}
}

// Dial returns the caller's end of a new connection.
func (i *Inside) Dial(ctx context.Context) (net.Conn, error) {
	ours, theirs := net.Pipe()
	select {
	case i.conns <- &insideConn{ours}:
		return theirs, nil
	case <-i.closed:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Accept returns the next connection of a caller.
func (i *Inside) Accept() (net.Conn, error) {
	select {
	case c := <-i.conns:
		return c, nil
	case <-i.closed:
		return nil, net.ErrClosed
	}
}

// Close ends the listener, not its connections. It may be repeated.
func (i *Inside) Close() error {
	i.once.Do(func() { close(i.closed) })
	return nil
}

// Addr names it.
func (i *Inside) Addr() net.Addr { return insideAddr{} }

type insideAddr struct{}

func (insideAddr) Network() string { return "inside" }
func (insideAddr) String() string  { return "inside" }

// insideConn tells connections of Inside from all others: no other way leads to one.
type insideConn struct{ net.Conn }

// insideInfo is the AuthInfo of a caller in this process.
type insideInfo struct{}

// AuthType names the kind.
func (insideInfo) AuthType() string { return "session" }

// identifySession asks with each call whose session it is, so that the end of one, and another role, hold at once.
func (h *Hub) identifySession(ctx context.Context) (caller, error) {
	md, _ := metadata.FromIncomingContext(ctx)
	tokens := md.Get(SessionKey)
	if len(tokens) != 1 {
		return caller{}, errs.New(errs.Permission, "sign in first", "nobody is signed in")
	}
	user, err := h.Accounts.Who(ctx, tokens[0])
	if err != nil {
		return caller{}, err
	}
	return userCaller(&user), nil
}

func userCaller(u *catalogue.User) caller {
	return caller{name: "user:" + u.Name, role: roleNames[u.Role], client: u.Client}
}
