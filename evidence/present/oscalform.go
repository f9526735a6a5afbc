package present

import "time"

// The parts of OSCAL's assessment-results model that are used here, by their JSON names.

type assessmentResults struct {
	UUID     string      `json:"uuid"`
	Metadata metadata    `json:"metadata"`
	Plan     link        `json:"import-ap"`
	Results  []result    `json:"results"`
	Back     *backMatter `json:"back-matter,omitempty"`
}

type metadata struct {
	Title    string    `json:"title"`
	Modified time.Time `json:"last-modified"`
	Version  string    `json:"version"`
	OSCAL    string    `json:"oscal-version"`
}

type link struct {
	Href string `json:"href"`
}

type result struct {
	UUID         string         `json:"uuid"`
	Title        string         `json:"title"`
	Description  string         `json:"description"`
	Start        time.Time      `json:"start"`
	End          time.Time      `json:"end"`
	Reviewed     reviewed       `json:"reviewed-controls"`
	Observations []observation  `json:"observations,omitempty"`
	Findings     []oscalFinding `json:"findings,omitempty"`
	Remarks      string         `json:"remarks,omitempty"`
}

type reviewed struct {
	Selections []selection `json:"control-selections"`
}

type selection struct {
	Description string     `json:"description,omitempty"`
	All         *struct{}  `json:"include-all,omitempty"`
	Include     []selected `json:"include-controls,omitempty"`
}

type selected struct {
	ID string `json:"control-id"`
}

type observation struct {
	UUID        string     `json:"uuid"`
	Title       string     `json:"title"`
	Description string     `json:"description"`
	Methods     []string   `json:"methods"`
	Types       []string   `json:"types"`
	Relevant    []relevant `json:"relevant-evidence,omitempty"`
	Collected   time.Time  `json:"collected"`
	Remarks     string     `json:"remarks,omitempty"`
}

type relevant struct {
	Href        string     `json:"href"`
	Description string     `json:"description"`
	Props       []property `json:"props,omitempty"`
}

type property struct {
	Name  string `json:"name"`
	NS    string `json:"ns"`
	Value string `json:"value"`
}

type oscalFinding struct {
	UUID        string    `json:"uuid"`
	Title       string    `json:"title"`
	Description string    `json:"description"`
	Target      target    `json:"target"`
	Related     []related `json:"related-observations,omitempty"`
	Remarks     string    `json:"remarks,omitempty"`
}

type target struct {
	Type   string `json:"type"`
	ID     string `json:"target-id"`
	Title  string `json:"title"`
	Status status `json:"status"`
}

type status struct {
	State  string `json:"state"`
	Reason string `json:"reason"`
}

type related struct {
	UUID string `json:"observation-uuid"`
}

type backMatter struct {
	Resources []resource `json:"resources"`
}

type resource struct {
	UUID        string         `json:"uuid"`
	Title       string         `json:"title"`
	Description string         `json:"description,omitempty"`
	Links       []resourceLink `json:"rlinks"`
	Remarks     string         `json:"remarks,omitempty"`
}

type resourceLink struct {
	Href      string `json:"href"`
	MediaType string `json:"media-type,omitempty"`
	Hashes    []hash `json:"hashes,omitempty"`
}

type hash struct {
	Algorithm string `json:"algorithm"`
	Value     string `json:"value"`
}
