package policy

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/rego"
)

// Validate holds an input, as policies would see it, against the published schema, with
// the validator that policies themselves may not use.
func Validate(ctx context.Context, in Input) error {
	doc, err := in.value()
	if err != nil {
		return err
	}
	docs := []ast.Object{doc}
	for _, z := range in.Zones {
		one, err := about(doc, z)
		if err != nil {
			return err
		}
		docs = append(docs, one)
	}
	for _, doc := range docs {
		if err := validate(ctx, doc); err != nil {
			return err
		}
	}
	return nil
}

func validate(ctx context.Context, doc ast.Value) error {
	schema, err := toValue(json.RawMessage(inputSchema))
	if err != nil {
		return err
	}
	rs, err := rego.New(
		rego.Query("json.match_schema(input.document, input.schema)"),
		rego.ParsedInput(ast.NewObject(
			ast.Item(ast.StringTerm("document"), ast.NewTerm(doc)),
			ast.Item(ast.StringTerm("schema"), ast.NewTerm(schema)),
		)),
	).Eval(ctx)
	if err != nil {
		return fmt.Errorf("schema of the policy input: %w", err)
	}
	if len(rs) != 1 {
		return fmt.Errorf("schema of the policy input: no answer")
	}
	if answer, ok := rs[0].Expressions[0].Value.([]any); !ok || len(answer) != 2 || answer[0] != true {
		return fmt.Errorf("the input does not match its schema: %v", rs[0].Expressions[0].Value)
	}
	return nil
}
