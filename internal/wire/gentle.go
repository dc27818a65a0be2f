package wire

import (
	"context"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"github.com/sitekeep/sitekeep/internal/model"
)

// gentleKey is the metadata of calls that give way to visitors. Agents that are too old do not know it, and hurry.
const gentleKey = "sitekeep-gentle"

// UnaryClientGentle tells the other side of model.GiveWay.
func UnaryClientGentle(ctx context.Context, method string, req, reply any, conn *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
	if model.GivesWay(ctx) {
		ctx = metadata.AppendToOutgoingContext(ctx, gentleKey, "1")
	}
	return invoke(ctx, method, req, reply, conn, opts...)
}

// AsksGently reports whether the call that a server answers was marked by model.GiveWay.
func AsksGently(ctx context.Context) bool {
	return len(metadata.ValueFromIncomingContext(ctx, gentleKey)) > 0
}
