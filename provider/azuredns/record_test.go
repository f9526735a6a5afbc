package azuredns

import (
	"encoding/json"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/dns/armdns"

	"slipway/zone"
)

// FuzzRecordSet reads whatever Azure may send. What becomes a record set is written in
// Azure's form and comes back as the same.
func FuzzRecordSet(f *testing.F) {
	f.Add("A", `{"TTL":300,"ARecords":[{"ipv4Address":"192.0.2.1"}]}`)
	f.Add("MX", `{"TTL":300,"MXRecords":[{"preference":10,"exchange":"mail.example.net"}]}`)
	f.Add("CAA", `{"TTL":300,"caaRecords":[{"flags":0,"tag":"issue","value":"letsencrypt.org; \"x\""}]}`)
	f.Add("TXT", `{"TTL":300,"TXTRecords":[{"value":["a","b \\ \""]},{"value":[null]}]}`)
	f.Add("SRV", `{"TTL":300,"SRVRecords":[{"priority":1,"weight":2,"port":3,"target":"."}]}`)
	f.Add("CNAME", `{"TTL":300,"CNAMERecord":{"cname":"x.example.net"}}`)
	f.Fuzz(func(t *testing.T, typ, raw string) {
		var p armdns.RecordSetProperties
		if json.Unmarshal([]byte(raw), &p) != nil {
			return
		}
		set, err := recordSet("www.finmicro.example", typ, &p)
		if err != nil || check("example.org", set) != nil {
			return
		}
		out, err := properties(set)
		if err != nil {
			t.Fatalf("%+v: %v", set, err)
		}
		text, err := json.Marshal(out)
		if err != nil {
			t.Fatal(err)
		}
		var back armdns.RecordSetProperties
		if err := json.Unmarshal(text, &back); err != nil {
			t.Fatal(err)
		}
		again, err := recordSet(set.Name, set.Type, &back)
		if err != nil || !again.Equal(set) {
			t.Fatalf("%+v came back as %+v by way of %s: %v", set, again, text, err)
		}
	})
}

func TestRelative(t *testing.T) {
	const z = zone.Name("finmicro.example")
	for text, name := range map[string]zone.Name{"@": z, "www": "www." + z, "*.apps": "*.apps." + z} {
		if got, err := absolute(text, z); err != nil || got != name || relative(got, z) != text {
			t.Errorf("%s: %s, %v", text, got, err)
		}
	}
}
