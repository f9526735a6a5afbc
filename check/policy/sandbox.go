package policy

import (
	"context"
	"slices"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/rego"
)

// This file holds what policies may use and how much of it.

// forbidden built-ins reach outside the input: the network, the machine, the
// clock, chance. Verdicts must replay (DESIGN.md, principle 5).
var forbidden = map[string]bool{
	"http.send":          true,
	"net.lookup_ip_addr": true,
	"opa.runtime":        true,
	"rand.intn":          true,
	"uuid.rfc4122":       true,
	"time.now_ns":        true,
	// Follow "$ref" to files and addresses.
	"json.match_schema":  true,
	"json.verify_schema": true,
	// Judge by the machine's clock and its trusted roots.
	"crypto.x509.parse_and_verify_certificates":              true,
	"crypto.x509.parse_and_verify_certificates_with_options": true,
	"io.jwt.decode_verify":                                   true,
	// Draw random nonces.
	"io.jwt.encode_sign":     true,
	"io.jwt.encode_sign_raw": true,
}

// capabilities is what policies may use.
func capabilities() *ast.Capabilities {
	c := ast.CapabilitiesForThisVersion()
	c.Builtins = slices.DeleteFunc(slices.Clone(c.Builtins), func(b *ast.Builtin) bool { return forbidden[b.Name] })
	c.AllowNet = []string{} // empty, not nil: nil allows every host
	return c
}

// eval asks one prepared query. ok is false when the answer is undefined.
func (p *Policies) eval(ctx context.Context, q rego.PreparedEvalQuery, input ast.Value, asOf time.Time, options ...rego.EvalOption) (answer any, ok bool, err error) {
	w := p.limits.guard(ctx)
	rs, err := q.Eval(w.ctx, append(options, rego.EvalParsedInput(input), rego.EvalTime(asOf), rego.EvalSortSets(true))...)
	past := w.end()
	switch {
	case err != nil && ctx.Err() != nil:
		return nil, false, ctx.Err()
	case past != nil: // an answer that came after all is none: another run would not get it
		return nil, false, past
	case err != nil:
		return nil, false, err
	case len(rs) == 0:
		return nil, false, nil
	}
	return rs[0].Bindings["x"], true, nil
}
