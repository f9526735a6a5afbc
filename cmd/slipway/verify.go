package main

import (
	"bytes"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"slipway/audit/timestamp"
	"slipway/audit/witness"
	"slipway/evidence"
)

// verifyAsk is whom a run of slipway verify trusts.
type verifyAsk struct {
	trust, witnesses, roots, signers string
}

func (t *tool) verifyCommand() *cobra.Command {
	var a verifyAsk
	var out *format
	c := &cobra.Command{
		Use:   "verify BUNDLE",
		Short: "Verify a bundle of evidence, without a server",
		Long: `Checks a bundle of evidence from its own bytes and the keys that you trust, and says plainly
what that proves and what it does not. Nothing is asked over a network.

The file of --trust has the log's verifier key on a line of its own, or is what slipway audit
keys prints. Get it from elsewhere than the bundle, and keep it from the start: who can
forge a bundle can put fitting keys into it. Without --trust the bundle is held against
its own keys. That shows whether it hangs together, and proves nothing about who made it.

Exit code 0: all of it is as the keys that you trust have signed it. 1: something is not, and
is named; or you trusted no keys. 2: there is no such file, or a key cannot be read.`,
		Example: `  slipway verify bundle.zip --trust keys.pub
  slipway verify bundle.zip --trust keys.json --witness-policy witnesses.txt --format json
  slipway verify bundle.zip --trust keys.pub --timestamp-roots tsa.pem --allowed-signers allowed_signers`,
		GroupID: groupLook,
		Args:    one("BUNDLE"),
		RunE: func(c *cobra.Command, args []string) error {
			o, err := a.options()
			if err != nil {
				return err
			}
			f, err := os.Open(args[0])
			if err != nil {
				return err
			}
			defer f.Close()
			info, err := f.Stat()
			if err != nil {
				return err
			}
			if !info.Mode().IsRegular() {
				return &usage{what: args[0] + " is not a file"}
			}
			m := t.busy("Verifying")
			r, err := evidence.Verify(c.Context(), f, info.Size(), o)
			m.end()
			if err != nil {
				return err
			}
			if *out == asJSON {
				err = t.printJSON(struct {
					Verified bool `json:"verified"`
					*evidence.Result
				}{r.OK(), r})
			} else {
				err = t.showVerified(r)
			}
			if err == nil && !r.OK() {
				err = errAnswerIsNo
			}
			return err
		},
	}
	p := c.Flags()
	p.StringVar(&a.trust, "trust", "", "file with the log's key that you trust")
	p.StringVar(&a.witnesses, "witness-policy", "", "file with the witnesses that you trust (C2SP tlog-policy)")
	p.StringVar(&a.roots, "timestamp-roots", "", "file with the certificates of timestamp authorities that you trust (PEM)")
	p.StringVar(&a.signers, "allowed-signers", "", "file with the keys that may sign commits (default: as the bundle says, which proves less)")
	out = formatFlag(c)
	return c
}

// options reads the files of those who are trusted.
func (a verifyAsk) options() (o evidence.VerifyOptions, err error) {
	read := func(file string, use func(raw []byte) error) {
		if file == "" || err != nil {
			return
		}
		var raw []byte
		if raw, err = os.ReadFile(file); err == nil {
			if err = use(raw); err != nil {
				err = fmt.Errorf("%s: %w", file, err)
			}
		}
	}
	read(a.trust, func(raw []byte) error {
		trust, err := evidence.ReadTrust(bytes.NewReader(raw))
		o.Trust = &trust
		return err
	})
	read(a.witnesses, func(raw []byte) (err error) { o.Witnesses, err = witness.ParsePolicy(raw); return err })
	read(a.roots, func(raw []byte) (err error) { o.TimestampRoots, err = timestamp.ReadRoots(raw); return err })
	read(a.signers, func(raw []byte) error { o.AllowedSigners = raw; return nil })
	return o, err
}

func (t *tool) showVerified(r *evidence.Result) error {
	if r.Size > 0 {
		fmt.Fprintf(t.stdout, "Evidence about %s: %s and %s, of a log with %s.\n", flat(r.Subject.String()), plural(r.Events, "event"), plural(r.Documents, "document"), plural(r.Size, "event"))
	}
	list := func(heading, style, mark string, statements []evidence.Statement) {
		if len(statements) == 0 {
			return
		}
		fmt.Fprintf(t.stdout, "\n%s\n", t.paint(style, heading))
		for _, s := range statements {
			fmt.Fprintf(t.stdout, "  %s %s\n", mark, flat(s.Text))
		}
	}
	list("Proven", green, "+", r.Proven)
	list("Not proven", bold, "-", r.NotProven)
	if len(r.Problems) > 0 {
		fmt.Fprintf(t.stdout, "\n%s\n", t.paint(red, "Wrong"))
	}
	for _, p := range r.Problems {
		place := p.File
		if p.Index != nil {
			place += fmt.Sprintf(" event %d", *p.Index)
		}
		if place != "" {
			place += ": "
		}
		fmt.Fprintf(t.stdout, "  ! %s%s %s\n", flat(place), flat(p.What), t.paint(dim, "["+flat(string(p.Check))+"]"))
	}
	verdict := t.paint(green, "Verified") + ": all of this is as the keys that you trust have signed it."
	switch {
	case len(r.Problems) > 0:
		verdict = t.paint(red, "Not verified") + fmt.Sprintf(": %s. Do not rely on this bundle.", plural(len(r.Problems), "problem"))
	case !r.Trusted:
		verdict = t.paint(red, "Not verified") + ": it hangs together, but you named no keys to trust (--trust), and its own prove nothing about who made it."
	}
	_, err := fmt.Fprintf(t.stdout, "\n%s\n", verdict)
	return err
}
