package check

import "context"

// CONTRACT: replace by the real code.

// Engine holds compiled policies, cached by policy digest, for many runs. Safe for concurrent use.
type Engine struct{}

func NewEngine() *Engine { panic("contract") }

// Run judges a change. Errors are unusable input (*zone.Error) or I/O; a denial is not an error.
func (e *Engine) Run(ctx context.Context, in Input) (*Verdict, error) { panic("contract") }
