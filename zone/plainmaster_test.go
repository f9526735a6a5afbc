package zone

import (
	"bytes"
	"reflect"
	"strings"
	"testing"
)

// sameByMasterParser says how the two ways of reading a zone file differ.
func sameByMasterParser(t *testing.T, text string) (plain bool) {
	t.Helper()
	soa, sets, ok := plainMaster(text, "example.com", "x")
	if !ok {
		return false
	}
	wantSOA, want, err := parseMaster(text, "example.com", "x")
	if err != nil {
		t.Fatalf("%q reads\n%+v, and by the parser not at all: %v", text, sets, err)
	}
	if !reflect.DeepEqual(soa, wantSOA) || len(sets) != len(want) {
		t.Fatalf("%q reads\n%+v\n%+v, and by the parser\n%+v\n%+v", text, soa, sets, wantSOA, want)
	}
	for i := range sets {
		if !reflect.DeepEqual(sets[i], want[i]) {
			t.Fatalf("%q reads\n%+v, and by the parser\n%+v", text, sets[i], want[i])
		}
	}
	return true
}

func TestPlainMaster(t *testing.T) {
	const soa = "example.com.\t300\tIN\tSOA\tns.example.com. hostmaster.example.com. 7 1 2 3 4\n"
	for _, tt := range []struct {
		text  string
		plain bool
	}{
		{"", true},
		{soa, true},
		{"; a comment\n\n$TTL 300\n" + soa + "www.example.com.\t300\tIN\tA\t192.0.2.1\n", true},
		{"www.example.com.\t300\tIN\tA\t192.0.2.1", true},
		{"b.example.com.\t300\tIN\tA\t192.0.2.2\na.example.com.\t300\tIN\tA\t192.0.2.1\nb.example.com.\t60\tIN\tA\t192.0.2.1\n", true},
		{"a.example.com.\t300\tIN\tMX\t10 b.example.com.\na.example.com.\t300\tIN\tTXT\t\"(x; y)\"\n", true},
		{"a.example.com.\t300\tIN\tTXT\t\"a\\\"b\" \"c\\195d\"\n", true},
		{"a.example.com.\t300\tIN\tSRV\t0 0 443 b.example.com.\na.example.com.\t300\tIN\tCAA\t0 issue \"x\"\n", true},
		{"a.example.com.\t300\tIN\tMX\t10 b\n", true},
		{"a.example.com.\t300\tIN\tA\t192.0.2.1 ; here\n", true},
		{"a.example.com.\t300\tIN\tRRSIG\tA 8 2 300 20300101000000 20200101000000 1 example.com. AAAA\n", true},
		{"a.example.com.\t300\tIN\tSVCB\t1 . alpn=\"h2\"\n", true},
		{masterMark + `{"name":"example.com","type":"ALIAS","ttl":60,"values":["a.example."]}` + "\n", true},
		{"a.example.com.\t300\tIN\tA\t192.0.2.1\n" + masterMark + `{"name":"a.example.com","type":"A","ttl":300,"values":null,"extra":"{\"x\":1}"}` + "\n", true},
		{masterMark + "{\n", false},
		{"a.example.com.\t300\tIN\tTXT\t( \"a\"\n \"b\" )\n", false},
		{"a.example.com.\t300\tIN\tTXT\t\"a\nb\"\n", false},
		{"a.example.com. 300 IN A 192.0.2.1\n", false},
		{"\t300\tIN\tA\t192.0.2.1\n", false},
		{"a\t300\tIN\tA\t192.0.2.1\n", false},
		{"A.example.com.\t300\tIN\tA\t192.0.2.1\n", false},
		{"a.example.net.\t300\tIN\tA\t192.0.2.1\n", false},
		{"a.example.com.\t5m\tIN\tA\t192.0.2.1\n", false},
		{"a.example.com.\t300\tCH\tA\t192.0.2.1\n", false},
		{"a.example.com.\t300\tIN\tA\t192.0.2.300\n", false},
		{"$ORIGIN com.\n", false},
		{"$TTL 5m\n", false},
		{"$INCLUDE /etc/passwd\n", false},
		{soa + soa, false},
		{"a.example.com.\t300\tIN\tA\t192.0.2.1\r\n", false},
	} {
		if got := sameByMasterParser(t, tt.text); got != tt.plain {
			t.Errorf("%q: plain %v, want %v", tt.text, got, tt.plain)
		}
	}
}

// What WriteMaster writes of the real zones is in plain form.
func TestPlainMasterOfWhatIsWritten(t *testing.T) {
	f, err := ParseYAML("example.com", "example.com.yaml", bigZone(1000, -1))
	if err != nil {
		t.Fatal(err)
	}
	sets, err := f.RRSets()
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := WriteMaster(&b, "example.com", testSOA, sets, 300); err != nil {
		t.Fatal(err)
	}
	if !sameByMasterParser(t, b.String()) {
		t.Error("not plain")
	}
}

// Whatever a zone file holds, what is read of it a line at a time is what the parser reads.
func FuzzPlainMaster(f *testing.F) {
	f.Add("$TTL 300\nexample.com.\t300\tIN\tSOA\tns.example.com. hostmaster.example.com. 7 1 2 3 4\nwww.example.com.\t300\tIN\tA\t192.0.2.1\n")
	f.Add("a.example.com.\t300\tIN\tTXT\t\"a\\\"b\" \"c\"\nA.example.com.\t300\tIN\tMX\t10 b\n")
	f.Add("a.example.com.\t300\tIN\tTXT\t( \"a\"\n \"b\" )\n")
	f.Add(masterMark + "{\"name\":\"example.com\",\"type\":\"ALIAS\",\"ttl\":60,\"values\":[\"a.example.\"]}\n")
	f.Fuzz(func(t *testing.T, text string) {
		if strings.Contains(text, "$GENERATE") || len(text) > 4096 {
			return
		}
		sameByMasterParser(t, text)
	})
}
