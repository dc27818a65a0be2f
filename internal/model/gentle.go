package model

import "context"

type givesWay struct{}

// GiveWay marks what is done under the context as work that nobody waits for:
// agents let the visitors of their sites go before it.
func GiveWay(ctx context.Context) context.Context { return context.WithValue(ctx, givesWay{}, true) }

// GivesWay reports whether GiveWay marked the context.
func GivesWay(ctx context.Context) bool { return ctx.Value(givesWay{}) != nil }
