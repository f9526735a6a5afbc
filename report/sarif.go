package report

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/url"
	"slices"
	"strings"

	"slipway/check"
	"slipway/check/finding"
	"slipway/repo"
)

// This file writes SARIF 2.1.0 (OASIS), with what GitHub's and GitLab's code
// scanning ask for beyond the schema. Section numbers are the specification's.

const sarifSchema = "https://json.schemastore.org/sarif-2.1.0.json"

type sarifLog struct {
	Schema  string     `json:"$schema"`
	Version string     `json:"version"`
	Runs    []sarifRun `json:"runs"`
}

type sarifRun struct {
	Tool              sarifTool       `json:"tool"`
	AutomationDetails sarifID         `json:"automationDetails"`
	ColumnKind        string          `json:"columnKind"`
	Results           []sarifResult   `json:"results"` // section 3.14.23: empty means that nothing was found
	Properties        sarifProperties `json:"properties"`
}

type sarifID struct {
	ID string `json:"id"`
}

type sarifTool struct {
	Driver sarifDriver `json:"driver"`
}

type sarifDriver struct {
	Name    string      `json:"name"`
	Version string      `json:"version"`
	Rules   []sarifRule `json:"rules"`
}

type sarifRule struct {
	ID         string         `json:"id"`
	Short      sarifMessage   `json:"shortDescription"`
	Properties *sarifRuleTags `json:"properties,omitempty"`
}

type sarifRuleTags struct {
	Tags []string `json:"tags"`
}

type sarifMessage struct {
	Text string `json:"text"`
}

type sarifResult struct {
	RuleID       string            `json:"ruleId"`
	RuleIndex    int               `json:"ruleIndex"`
	Level        string            `json:"level"`
	Message      sarifMessage      `json:"message"`
	Locations    []sarifLocation   `json:"locations"`
	Fingerprints map[string]string `json:"partialFingerprints"`
}

type sarifLocation struct {
	Physical sarifPhysical  `json:"physicalLocation"`
	Logical  []sarifLogical `json:"logicalLocations,omitempty"`
}

type sarifPhysical struct {
	Artifact sarifArtifact `json:"artifactLocation"`
	Region   *sarifRegion  `json:"region,omitempty"`
}

type sarifArtifact struct {
	URI       string `json:"uri"`
	URIBaseID string `json:"uriBaseId"`
}

type sarifRegion struct {
	StartLine int `json:"startLine"`
}

type sarifLogical struct {
	Name string `json:"fullyQualifiedName"`
	Kind string `json:"kind"`
}

type sarifProperties struct {
	Tier         string `json:"tier"`
	Score        int    `json:"score"`
	Denied       bool   `json:"denied"`
	ChangeDigest string `json:"changeDigest,omitempty"`
	PolicyDigest string `json:"policyDigest"`
	AsOf         string `json:"asOf"`
}

func writeSARIF(w io.Writer, v *check.Verdict) error {
	known := rules(v.Findings)
	run := sarifRun{
		Tool:              sarifTool{sarifDriver{Name: tool, Version: v.Version, Rules: []sarifRule{}}},
		AutomationDetails: sarifID{tool + "/check/"},
		ColumnKind:        "unicodeCodePoints",
		Results:           []sarifResult{},
		Properties: sarifProperties{
			Tier: string(v.Tier), Score: v.Score, Denied: v.Denied, PolicyDigest: v.PolicyDigest,
			AsOf: v.AsOf.UTC().Format("2006-01-02T15:04:05Z"),
		},
	}
	if v.Change != nil {
		run.Properties.ChangeDigest = v.Change.Digest
	}
	for _, r := range known {
		s := sarifRule{ID: r.id, Short: sarifMessage{check.Clean(r.id)}}
		if len(r.controls) > 0 {
			s.Properties = &sarifRuleTags{r.controls}
		}
		run.Tool.Driver.Rules = append(run.Tool.Driver.Rules, s)
	}
	for _, f := range v.Findings {
		i, _ := slices.BinarySearchFunc(known, f.Rule, func(r rule, id string) int { return strings.Compare(r.id, id) })
		run.Results = append(run.Results, sarifResult{
			RuleID: f.Rule, RuleIndex: i, Level: sarifLevel(f.Severity),
			Message:      sarifMessage{sarifText(text(f))},
			Locations:    []sarifLocation{sarifPlace(f)},
			Fingerprints: map[string]string{"slipwayFinding/v1": fingerprint(f)},
		})
	}
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(sarifLog{Schema: sarifSchema, Version: "2.1.0", Runs: []sarifRun{run}})
}

// sarifLevel is section 3.27.10.
func sarifLevel(s check.Severity) string {
	switch s {
	case check.Deny:
		return "error"
	case check.Warn:
		return "warning"
	}
	return "note"
}

// sarifText escapes what a message string reads as a placeholder or a link
// (sections 3.11.5 and 3.11.6).
var sarifText = strings.NewReplacer(`\`, `\\`, "{", "{{", "}", "}}", "[", `\[`, "]", `\]`).Replace

// sarifPlace is where a finding stands. Code scanning drops a result without a place; one
// that is about no file in particular is put to the settings, which say what holds.
func sarifPlace(f finding.Finding) sarifLocation {
	path := f.Path
	if path == "" {
		path = repo.SettingsPath
	}
	l := sarifLocation{Physical: sarifPhysical{Artifact: sarifArtifact{URI: (&url.URL{Path: path}).String(), URIBaseID: "%SRCROOT%"}}}
	if f.Line > 0 {
		l.Physical.Region = &sarifRegion{f.Line}
	}
	if f.Record != "" {
		l.Logical = []sarifLogical{{Name: check.Clean(f.Record), Kind: "resource"}} // section 3.33.7
	}
	return l
}

// fingerprint tells a finding from others when lines have moved (section 3.27.17): by rule,
// file and record, and by its text where it is about no record.
func fingerprint(f finding.Finding) string {
	about := f.Record
	if about == "" {
		about = f.Message
	}
	sum := sha256.Sum256([]byte(f.Rule + "\x00" + f.Path + "\x00" + about))
	return hex.EncodeToString(sum[:16])
}
