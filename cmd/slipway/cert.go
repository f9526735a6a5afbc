package main

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"slipway/cert"
	"slipway/cert/dane"
	"slipway/client"
	"slipway/zone"
)

func (t *tool) certCommand() *cobra.Command {
	return group("cert", "Certificates: see, renew, revoke, and get one for your own key",
		`An app with "certificate: true" gets its certificate when it goes live, and another one before that
expires. Nobody handles its private key: it is made in the key store and never leaves it.`, groupLook,
		t.certList(), t.certShow(), t.certRenew(), t.certRevoke(), t.certSign(), t.certTLSA(), t.certRoot(), t.certStrays(), t.certAccept())
}

func (t *tool) certList() *cobra.Command {
	var q cert.Query
	var status, before string
	var out *format
	c := &cobra.Command{
		Use:   "list",
		Short: "List certificates, the one that expires first in front",
		Example: `  slipway cert list
  slipway cert list --app expense-tracker --status valid
  slipway cert list --before 30d                    what expires in the next 30 days
  slipway cert list --name '*.apps.finmicro.example'`,
		Args: noArguments,
		RunE: func(c *cobra.Command, _ []string) error {
			q.Status = cert.Status(status)
			if before != "" {
				d, err := parseDays(before)
				if err != nil {
					return err
				}
				q.Before = time.Now().Add(d)
			}
			cl, err := t.client()
			if err != nil {
				return err
			}
			found, err := cl.Certificates(c.Context(), q)
			if err != nil {
				return err
			}
			if *out == asJSON {
				return t.printJSON(map[string]any{"certificates": found})
			}
			return t.showCertificates(found, time.Now())
		},
	}
	f := c.Flags()
	f.StringVar(&q.App, "app", "", "of this app")
	f.StringVar(&q.Name, "name", "", "for this name; *.example.org: for names that end so")
	f.StringVar(&q.Serial, "serial", "", "with this serial number")
	f.StringVar(&q.Issuer, "issuer", "", "whose issuer's name has this in it")
	f.StringVar(&q.Authority, "authority", "", "from this authority of slipway.yaml")
	f.StringVar(&status, "status", "", "valid, expired, revoked or replaced")
	f.StringVar(&before, "before", "", "that expire within this time, such as 30d or 48h")
	f.IntVar(&q.Limit, "limit", 0, "at most this many (default and most 1000)")
	out = formatFlag(c)
	return c
}

// parseDays reads a length of time in days or in Go's form.
func parseDays(s string) (time.Duration, error) {
	var days int
	if n, err := fmt.Sscanf(s, "%dd", &days); err == nil && n == 1 && s == fmt.Sprintf("%dd", days) && days >= 0 && days < 100_000 {
		return time.Duration(days) * 24 * time.Hour, nil
	}
	d, err := time.ParseDuration(s)
	if err != nil || d < 0 {
		return 0, &usage{what: fmt.Sprintf("%q is not a length of time; write for example 30d or 48h", s)}
	}
	return d, nil
}

func (t *tool) showCertificates(found []cert.Certificate, now time.Time) error {
	if len(found) == 0 {
		_, err := fmt.Fprintln(t.stdout, "No certificates.")
		return err
	}
	rows := make([][]string, len(found))
	for i, c := range found {
		rows[i] = []string{c.ID[:min(12, len(c.ID))], dash(c.App), flat(c.Names[0]) + more(len(c.Names)-1), string(c.Status(now)), left(c, now), c.Authority}
	}
	return t.table([]string{"ID", "APP", "NAME", "STATE", "EXPIRES", "FROM"}, rows)
}

func more(n int) string {
	if n <= 0 {
		return ""
	}
	return fmt.Sprintf(" +%d", n)
}

// left says when a certificate ends, and how far away that is while it is in use.
func left(c cert.Certificate, now time.Time) string {
	day := c.NotAfter.UTC().Format(time.DateOnly)
	if c.Status(now) != cert.Valid {
		return day
	}
	if d := c.NotAfter.Sub(now); d < 48*time.Hour {
		return fmt.Sprintf("%s (in %d h)", day, int(d.Hours()))
	}
	return fmt.Sprintf("%s (in %d days)", day, int(c.NotAfter.Sub(now).Hours()/24))
}

func (t *tool) showCertificate(c client.Certificate) {
	now := time.Now()
	x := c.Certificate
	fmt.Fprintln(t.stdout, t.paint(bold, flat(strings.Join(x.Names, ", "))))
	key := "the app's own"
	if x.KeyRef != "" {
		key = x.KeyRef + ", and never leaves it"
		if x.KeyDestroyed {
			key = "destroyed (" + x.KeyRef + ")"
		}
	}
	approved := "by rule"
	if len(x.Approved) > 0 {
		approved = strings.Join(x.Approved, ", ")
	}
	renew := ""
	if x.Status(now) == cert.Valid && x.KeyRef != "" {
		renew = x.RenewAt.UTC().Format(time.DateTime) + " UTC"
	}
	for _, line := range [][2]string{
		{"state", string(x.Status(now))}, {"app", x.App}, {"id", x.ID}, {"serial", x.Serial}, {"issuer", x.Issuer}, {"authority", x.Authority},
		{"valid", x.NotBefore.UTC().Format(time.DateTime) + " to " + x.NotAfter.UTC().Format(time.DateTime) + " UTC"},
		{"renewal", renew}, {"key", x.KeyKind + ", " + key}, {"change", x.Change}, {"approved", approved},
		{"replaces", x.Replaces}, {"replaced by", x.ReplacedBy}, {"revoked", reasonOf(x)}, {"problem", x.Problem},
	} {
		if line[1] != "" {
			fmt.Fprintf(t.stdout, "  %-11s %s\n", line[0], flat(line[1]))
		}
	}
	for _, s := range x.SCTs {
		fmt.Fprintf(t.stdout, "  %-11s %s at %s\n", "in CT log", flat(s.LogID), s.At.UTC().Format(time.DateTime))
	}
}

func reasonOf(c cert.Certificate) string {
	if c.Revoked.IsZero() {
		return ""
	}
	return c.Revoked.UTC().Format(time.DateTime) + " UTC, " + c.Reason
}

// oneCertificate is a command on one certificate that answers with one.
func (t *tool) oneCertificate(use, short, long, example, busy string, run func(c *cobra.Command, cl *client.Client, id string) (client.Certificate, error)) *cobra.Command {
	var out *format
	var chain bool
	c := &cobra.Command{
		Use: use, Short: short, Long: long, Example: example, Args: one("ID"),
		RunE: func(c *cobra.Command, args []string) error {
			cl, err := t.client()
			if err != nil {
				return err
			}
			m := t.busy(busy)
			answer, err := run(c, cl, args[0])
			m.end()
			if err != nil {
				return err
			}
			switch {
			case *out == asJSON:
				return t.printJSON(answer)
			case chain:
				_, err := io.WriteString(t.stdout, answer.Chain)
				return err
			}
			t.showCertificate(answer)
			return nil
		},
	}
	c.Flags().BoolVar(&chain, "chain", false, "print the certificate chain instead, in PEM")
	out = formatFlag(c)
	return c
}

func (t *tool) certShow() *cobra.Command {
	return t.oneCertificate("show ID", "Show one certificate", "ID is what slipway cert list shows, or the serial number.",
		`  slipway cert show 9f86d081884c
  slipway cert show 9f86d081884c --chain > chain.pem`, "Looking",
		func(c *cobra.Command, cl *client.Client, id string) (client.Certificate, error) {
			return cl.Certificate(c.Context(), id)
		})
}

func (t *tool) certRenew() *cobra.Command {
	return t.oneCertificate("renew ID", "Get another certificate in its place, with another key, now",
		`Certificates are renewed by themselves when their time comes. This is for when you cannot wait:
after a fault, or before a change of authority. The app's owner may, and the groups that manage certificates.`,
		`  slipway cert renew 9f86d081884c`, "Renewing",
		func(c *cobra.Command, cl *client.Client, id string) (client.Certificate, error) {
			return cl.RenewCertificate(c.Context(), id)
		})
}

func (t *tool) certRevoke() *cobra.Command {
	var reason, why string
	var names []string
	for _, r := range cert.Reasons() {
		names = append(names, r.Name)
	}
	c := t.oneCertificate("revoke ID", "Revoke a certificate at its authority",
		`Tells the authority, and through it the world, not to trust this certificate any more. The app gets
another one with another key first, unless the reason is cessation-of-operation. It goes on record with your words.`,
		`  slipway cert revoke 9f86d081884c --reason key-compromise --why "The host was broken into."`, "Revoking",
		func(c *cobra.Command, cl *client.Client, id string) (client.Certificate, error) {
			if reason == "" || why == "" {
				return client.Certificate{}, &usage{what: "revoking takes --reason and --why; the reasons are " + strings.Join(names, ", ")}
			}
			return cl.RevokeCertificate(c.Context(), id, reason, why)
		})
	c.Flags().StringVar(&reason, "reason", "", strings.Join(names, ", "))
	c.Flags().StringVar(&why, "why", "", "what happened, in a sentence")
	return c
}

// maxCSR bounds what is read as a certificate request.
const maxCSR = 16 << 10

func (t *tool) certSign() *cobra.Command {
	var app, file string
	var out *format
	c := &cobra.Command{
		Use:   "sign",
		Short: "Get a short-lived certificate for a key that your app made itself",
		Long: `For apps that serve TLS themselves and keep their own key. The request must be for the app's own
names, and you must be its owner. The certificate is good for a day unless slipway.yaml says otherwise: ask again,
with the same request, before that. The chain is printed in PEM.`,
		Example: `  openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout app.key -subj / \
    -addext subjectAltName=DNS:expenses.apps.finmicro.example -out app.csr
  slipway cert sign --app expense-tracker --csr app.csr > app.pem`,
		Args: noArguments,
		RunE: func(c *cobra.Command, _ []string) error {
			if app == "" || file == "" {
				return &usage{what: "give --app and --csr"}
			}
			csr, err := t.readInput(file, maxCSR)
			if err != nil {
				return err
			}
			cl, err := t.client()
			if err != nil {
				return err
			}
			m := t.busy("Asking for the certificate")
			answer, err := cl.SignRequest(c.Context(), app, csr)
			m.end()
			if err != nil {
				return err
			}
			if *out == asJSON {
				return t.printJSON(answer)
			}
			_, err = io.WriteString(t.stdout, answer.Chain)
			return err
		},
	}
	c.Flags().StringVar(&app, "app", "", "the app's name")
	c.Flags().StringVar(&file, "csr", "", "file of the certificate request, PEM; - for standard input")
	out = formatFlag(c)
	return c
}

// readInput reads a file, or standard input for "-", up to limit bytes.
func (t *tool) readInput(name string, limit int64) ([]byte, error) {
	var from io.Reader = t.stdin
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		from = f
	}
	raw, err := io.ReadAll(io.LimitReader(from, limit+1))
	if err == nil && int64(len(raw)) > limit {
		err = fmt.Errorf("%s: it has more than %d bytes", name, limit)
	}
	return raw, err
}

func (t *tool) certTLSA() *cobra.Command {
	var port uint16
	var protocol string
	var ttl int
	var out *format
	c := &cobra.Command{
		Use:   "tlsa ID [ID of the next one]",
		Short: "Print the TLSA records (DANE) for a certificate's key",
		Long: `For names in zones that are signed (DNSSEC): the record set that lets clients check the key by the DNS alone (RFC 6698,
3 1 1). Ask for it as a change like any other record. While one key follows another, name both certificates: the set
then has both, and is replaced by the new one's alone after that serves.`,
		Example: `  slipway cert tlsa 9f86d081884c
  slipway cert tlsa 9f86d081884c 2c26b46b68ff --port 25 --ttl 3600`,
		Args: cobra.RangeArgs(1, 2),
		RunE: func(c *cobra.Command, args []string) error {
			cl, err := t.client()
			if err != nil {
				return err
			}
			var keys [][]byte
			var hosts []string
			for i, id := range args {
				answer, err := cl.Certificate(c.Context(), id)
				if err != nil {
					return err
				}
				block, _ := pem.Decode([]byte(answer.Chain))
				if block == nil {
					return fmt.Errorf("certificate %s: the server sent no chain", flat(id))
				}
				leaf, err := x509.ParseCertificate(block.Bytes)
				if err != nil {
					return fmt.Errorf("certificate %s: %w", flat(id), err)
				}
				keys = append(keys, leaf.RawSubjectPublicKeyInfo)
				if i == 0 {
					hosts = leaf.DNSNames
				}
			}
			var sets []zone.RRSet
			for _, h := range hosts {
				name, err := zone.ParseName(h)
				if err != nil {
					return err
				}
				set, err := dane.Set(name, port, protocol, ttl, keys...)
				if err != nil {
					return err
				}
				sets = append(sets, set)
			}
			if *out == asJSON {
				return t.printJSON(map[string]any{"records": sets})
			}
			for _, set := range sets {
				for _, v := range set.Values {
					if _, err := fmt.Fprintf(t.stdout, "%s %d IN TLSA %s\n", set.Name.FQDN(), set.TTL, v); err != nil {
						return err
					}
				}
			}
			return nil
		},
	}
	c.Flags().Uint16Var(&port, "port", 443, "port of the service")
	c.Flags().StringVar(&protocol, "protocol", "tcp", "tcp or udp")
	c.Flags().IntVar(&ttl, "ttl", 3600, "for how many seconds answers may be kept")
	out = formatFlag(c)
	return c
}

func (t *tool) certRoot() *cobra.Command {
	var out *format
	c := &cobra.Command{
		Use:   "root",
		Short: "Print the root certificate of the server's own authority",
		Long: `Who trusts this certificate sees no warning at apps with certificates from the server's own authority.
Compare the fingerprint with what whoever runs Slipway tells you before you trust it.`,
		Example: `  slipway cert root > slipway-root.pem
  slipway cert root --format json | jq -r .sha256`,
		Args: noArguments,
		RunE: func(c *cobra.Command, _ []string) error {
			cl, err := t.client()
			if err != nil {
				return err
			}
			root, err := cl.Root(c.Context())
			if err != nil {
				return err
			}
			block, _ := pem.Decode(root)
			if block == nil {
				return fmt.Errorf("%s has no certificate authority of its own", cl.Server())
			}
			fingerprint := fmt.Sprintf("%X", sha256.Sum256(block.Bytes))
			if *out == asJSON {
				return t.printJSON(map[string]string{"root": string(root), "sha256": fingerprint})
			}
			fmt.Fprintln(t.stderr, "SHA-256 fingerprint:", fingerprint)
			_, err = t.stdout.Write(root)
			return err
		},
	}
	out = formatFlag(c)
	return c
}

func (t *tool) certStrays() *cobra.Command {
	var out *format
	c := &cobra.Command{
		Use:   "strays",
		Short: "Certificates for our names that did not come from here",
		Long: `Slipway watches the Certificate Transparency logs that slipway.yaml names. What is listed here was issued by some
authority for a name of ours without Slipway: somebody went around it, or somebody else holds the name.

Exit code 0: there is none that nobody has accepted. 1: there is.`,
		Example: `  slipway cert strays`,
		Args:    noArguments,
		RunE: func(c *cobra.Command, _ []string) error {
			cl, err := t.client()
			if err != nil {
				return err
			}
			strays, err := cl.Strays(c.Context())
			if err != nil {
				return err
			}
			open := 0
			rows := make([][]string, len(strays))
			for i, s := range strays {
				state := "accepted by " + s.By
				if s.Accepted == "" {
					state = "OPEN"
					open++
				}
				rows[i] = []string{s.ID[:min(12, len(s.ID))], flat(strings.Join(s.Names[:min(len(s.Names), 3)], ", ")), flat(s.Issuer), flat(s.Log), s.At.UTC().Format(time.DateOnly), state}
			}
			switch {
			case *out == asJSON:
				err = t.printJSON(map[string]any{"strays": strays})
			case len(strays) == 0:
				_, err = fmt.Fprintln(t.stdout, "None.")
			default:
				err = t.table([]string{"ID", "NAMES", "ISSUER", "LOG", "FOUND", "STATE"}, rows)
			}
			if err == nil && open > 0 {
				err = errAnswerIsNo
			}
			return err
		},
	}
	out = formatFlag(c)
	return c
}

func (t *tool) certAccept() *cobra.Command {
	var reason string
	var out *format
	c := &cobra.Command{
		Use:     "accept ID",
		Short:   "Say why a certificate from elsewhere may be",
		Long:    `For the groups that manage certificates. ID is the whole ID from slipway cert strays --format json, or its beginning.`,
		Example: `  slipway cert accept 2c26b46b68ff --reason "The newsletter provider's own, ticket 4711."`,
		Args:    one("ID"),
		RunE: func(c *cobra.Command, args []string) error {
			if reason == "" {
				return &usage{what: "give --reason: whose certificate it is, in a sentence"}
			}
			cl, err := t.client()
			if err != nil {
				return err
			}
			strays, err := cl.Strays(c.Context())
			if err != nil {
				return err
			}
			var found []cert.Stray
			for _, s := range strays {
				if strings.HasPrefix(s.ID, args[0]) {
					found = append(found, s)
				}
			}
			if len(found) != 1 {
				return &usage{what: fmt.Sprintf("%d certificates from elsewhere have an ID that begins with %q", len(found), args[0])}
			}
			if err := cl.AcceptStray(c.Context(), found[0].ID, reason); err != nil {
				return err
			}
			if *out == asJSON {
				return t.printJSON(map[string]string{"id": found[0].ID, "reason": reason})
			}
			_, err = fmt.Fprintf(t.stdout, "Accepted the certificate for %s.\n", flat(strings.Join(found[0].Names, ", ")))
			return err
		},
	}
	c.Flags().StringVar(&reason, "reason", "", "whose certificate it is, in a sentence; it goes on record")
	out = formatFlag(c)
	return c
}
