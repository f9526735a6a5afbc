package forward

import (
	"slices"
	"strings"

	"slipway/audit"
)

// severity is how much an event should matter to whoever watches.
type severity int

const (
	informational severity = iota
	notice
	warning
	alarm
)

// finding says of an action that it is something found, not something done; ended, that
// it ends what was found.
type kind struct {
	severity       severity
	finding, ended bool
	failed         bool // somebody was not let, or something did not work
}

// Actions that are not plain deeds.
var kinds = map[audit.Action]kind{
	audit.DetectDrift:       {severity: warning, finding: true},
	audit.AttributeDrift:    {severity: warning, finding: true},
	audit.ResolveDrift:      {severity: informational, finding: true, ended: true},
	audit.DetectCertificate: {severity: alarm, finding: true},
	audit.AcceptCertificate: {severity: notice, finding: true, ended: true},
	audit.DetectOutOfBand:   {severity: alarm, finding: true},
	audit.WarnCertificate:   {severity: warning, finding: true},
	audit.WarnRecord:        {severity: alarm, finding: true},
	audit.RecoverRecord:     {severity: notice, finding: true, ended: true},
	audit.HoldApply:         {severity: warning, finding: true},
	audit.ReleaseApply:      {severity: notice, finding: true, ended: true},

	audit.FailChange:      {severity: warning, failed: true},
	audit.FailCertificate: {severity: warning, failed: true},
	audit.RefusePush:      {severity: warning, failed: true},
	audit.RefuseVote:      {severity: warning, failed: true},

	audit.EraseDocument:     {severity: notice},
	audit.RotateKey:         {severity: notice},
	audit.RevokeCertificate: {severity: notice},
	audit.DestroyKey:        {severity: notice},
	audit.DisableAccount:    {severity: notice},
	audit.CreateAccount:     {severity: notice},
	audit.ExportEvidence:    {severity: notice},
}

// sentence tells an event in one line: who did what to what.
func sentence(e *audit.Event) string {
	words := []string{e.Actor.ID + ":", strings.ReplaceAll(string(e.Action), "-", " ")}
	if object := object(e); object != "" {
		words = append(words, object)
	}
	if e.Change != "" {
		words = append(words, "(change "+e.Change+")")
	}
	if len(e.ApprovalChain) > 0 {
		words = append(words, "approved by "+strings.Join(e.ApprovalChain, ", "))
	}
	return strings.Join(words, " ")
}

// object names what an event is about, the most particular first.
func object(e *audit.Event) string {
	r := e.Resource
	switch {
	case r.Record != "":
		return strings.TrimSpace(r.Record + " " + r.Type)
	case r.Name != "":
		return r.Name
	case r.App != "":
		return r.App
	case r.Zone != "":
		return r.Zone
	}
	return e.Change
}

// objectType is what sort of thing that is.
func objectType(e *audit.Event) string {
	r := e.Resource
	switch {
	case r.Record != "":
		return "DNS record set"
	case r.Name != "":
		if i := slices.IndexFunc(named, func(n namedType) bool { return slices.Contains(n.by, e.Action) }); i >= 0 {
			return named[i].what
		}
		return "object"
	case r.App != "":
		return "app"
	case r.Zone != "":
		return "DNS zone"
	}
	return "change"
}

type namedType struct {
	what string
	by   []audit.Action
}

// What resource.name names, by action.
var named = []namedType{
	{"log", []audit.Action{audit.StartLog}},
	{"key", []audit.Action{audit.RotateKey, audit.DestroyKey}},
	{"document", []audit.Action{audit.EraseDocument}},
	{"account", []audit.Action{audit.CreateAccount, audit.DisableAccount, audit.EnableAccount, audit.IssueLink}},
	{"token", []audit.Action{audit.IssueToken, audit.RevokeToken}},
	{"Git reference", []audit.Action{audit.RefusePush}},
	{"certificate", []audit.Action{audit.OrderCertificate, audit.IssueCertificate, audit.RevokeCertificate, audit.FailCertificate, audit.WarnCertificate,
		audit.DetectCertificate, audit.AcceptCertificate, audit.ProveCertificate}},
	{"guard of the record", []audit.Action{audit.WarnRecord, audit.RecoverRecord, audit.TimestampCheckpoint}},
	{"source", []audit.Action{audit.ReceiveReport, audit.DetectOutOfBand}},
	{"report", []audit.Action{audit.ReportDrift}},
}
