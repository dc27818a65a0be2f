package saga

import "time"

// Act is one of the calls that a Step answers.
type Act string

// Acts.
const (
	ActPrepare Act = "prepare"
	ActDo      Act = "do"
	ActUndo    Act = "undo"
	ActFinish  Act = "finish"
)

// EventKind is what an Event reports about an Act.
type EventKind string

// Kinds of events. Each act that is Started is later Done or Failed, with any
// number of Retrying in between.
const (
	Started  EventKind = "started"
	Retrying EventKind = "retrying" // Err, and the next attempt comes after Wait
	Done     EventKind = "done"
	Failed   EventKind = "failed" // Err

	// Entered reports on the whole saga: it has come to Phase.
	Entered EventKind = "entered"
)

// Event is something that happened to a saga or to one of its steps.
type Event struct {
	Kind EventKind
	// Phase is for Entered, everything else for the other kinds.
	Phase Phase
	Act   Act
	Step  string
	// Attempt counts from 1.
	Attempt int
	// Elapsed is the time since Started, waits between attempts included.
	Elapsed time.Duration
	// Wait is the time until the next attempt.
	Wait time.Duration
	Err  error
}

// Observer is told of every event, for a log or a progress bar. Observe is
// called from several goroutines at once and should return soon.
type Observer interface {
	Observe(Event)
}
