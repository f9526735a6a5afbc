package forward

import (
	"fmt"
	"strconv"
	"strings"

	"slipway/audit"
)

// cefSeverity is 0 to 10.
var cefSeverity = map[severity]int{informational: 1, notice: 3, warning: 6, alarm: 9}

// cef writes an event in ArcSight's Common Event Format, version 0, with the keys of its
// extension dictionary; custom strings have their labels.
func cef(origin string, r audit.Receipt) ([]byte, error) {
	e := &r.Event
	k := kinds[e.Action]
	outcome := "success"
	if k.failed {
		outcome = "failure"
	}
	header := fmt.Sprintf("CEF:0|Slipway|Slipway|1|%s|%s|%d|", cefInHeader.Replace(string(e.Action)), cefInHeader.Replace(strings.ReplaceAll(string(e.Action), "-", " ")), cefSeverity[k.severity])
	var extension []string
	put := func(key, value string) {
		if value != "" {
			extension = append(extension, key+"="+cefInValue.Replace(value))
		}
	}
	put("rt", strconv.FormatInt(e.Timestamp.UnixMilli(), 10))
	put("externalId", e.EventID)
	put("suser", e.Actor.ID)
	put("spriv", e.Actor.Role)
	put("outcome", outcome)
	put("dhost", strings.TrimSuffix(e.Resource.Record, "."))
	for i, custom := range []struct{ label, value string }{
		{"change", e.Change}, {"zone", e.Resource.Zone}, {"recordType", e.Resource.Type}, {"app", e.Resource.App}, {"gitCommit", e.GitCommit}, {"name", e.Resource.Name},
	} {
		if custom.value != "" {
			put(fmt.Sprintf("cs%dLabel", i+1), custom.label)
			put(fmt.Sprintf("cs%d", i+1), custom.value)
		}
	}
	put("cn1Label", "logIndex")
	put("cn1", strconv.FormatUint(r.Index, 10))
	put("deviceExternalId", origin)
	put("msg", sentence(e))
	return []byte(header + strings.Join(extension, " ")), nil
}

var (
	cefInHeader = strings.NewReplacer(`\`, `\\`, `|`, `\|`, "\r", " ", "\n", " ")
	cefInValue  = strings.NewReplacer(`\`, `\\`, `=`, `\=`, "\r", `\r`, "\n", `\n`)
)
