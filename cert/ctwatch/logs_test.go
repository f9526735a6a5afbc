package ctwatch

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

// logList has the form of the published lists, with a log of each API.
func logList(t testing.TB, change func(map[string]any)) []byte {
	t.Helper()
	signers := []*signer{{t: t, key: newKey(t)}, {t: t, key: newKey(t)}}
	id := func(s *signer) string {
		l := Log{Name: "x", Type: RFC6962, URL: "https://ct.example", Key: base64.StdEncoding.EncodeToString(s.spki())}
		o, err := l.open()
		if err != nil {
			t.Fatal(err)
		}
		return base64.StdEncoding.EncodeToString(o.id[:])
	}
	src := fmt.Sprintf(`{
  "version": "81.3", "log_list_timestamp": "2026-10-31T12:55:00Z",
  "operators": [{
    "name": "Operator", "email": ["ct@operator.example"],
    "logs": [{
      "description": "Operator 'Xenon2026h2' log", "log_id": %q, "key": %q, "url": "https://ct.operator.example/logs/xenon2026h2/", "mmd": 86400,
      "state": {"usable": {"timestamp": "2025-01-20T00:00:00Z"}},
      "temporal_interval": {"start_inclusive": "2026-07-01T00:00:00Z", "end_exclusive": "2027-01-01T00:00:00Z"},
      "previous_operators": [{"name": "Another", "end_time": "2025-01-01T00:00:00Z"}]
    }],
    "tiled_logs": [{
      "description": "Operator 'Tuscolo2026h2'", "log_id": %q, "key": %q, "submission_url": "https://tuscolo2026h2.sunlight.operator.example/",
      "monitoring_url": "https://tuscolo2026h2.skylight.operator.example/", "mmd": 60, "log_type": "prod",
      "state": {"retired": {"timestamp": "2026-01-20T00:00:00Z"}}
    }]
  }]
}`, id(signers[0]), base64.StdEncoding.EncodeToString(signers[0].spki()), id(signers[1]), base64.StdEncoding.EncodeToString(signers[1].spki()))
	if change == nil {
		return []byte(src)
	}
	var list map[string]any
	if err := json.Unmarshal([]byte(src), &list); err != nil {
		t.Fatal(err)
	}
	change(list["operators"].([]any)[0].(map[string]any))
	out, err := json.Marshal(list)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestParseLogList(t *testing.T) {
	logs, err := ParseLogList(logList(t, nil))
	if err != nil || len(logs) != 2 {
		t.Fatal(logs, err)
	}
	if l := logs[0]; l.Name != "Operator 'Xenon2026h2' log" || l.Type != RFC6962 || l.State != "usable" || l.Operator != "Operator" || l.End.Year() != 2027 || len(l.Previous) != 1 || !l.Watched(epoch) {
		t.Errorf("%+v", l)
	}
	if l := logs[1]; l.Type != StaticCT || l.Origin != "tuscolo2026h2.sunlight.operator.example" || l.URL != "https://tuscolo2026h2.skylight.operator.example/" || l.Watched(epoch) {
		t.Errorf("%+v", l)
	}
	if logs[0].Watched(epoch.AddDate(1, 0, 0)) {
		t.Error("a log whose certificates have all ended is still watched")
	}

	first := func(list, key string, value any) func(map[string]any) {
		return func(op map[string]any) { op[list].([]any)[0].(map[string]any)[key] = value }
	}
	for name, c := range map[string]struct {
		change func(map[string]any)
		want   string
	}{
		"wrong id":  {first("logs", "log_id", base64.StdEncoding.EncodeToString(make([]byte, 32))), "log_id is not the hash"},
		"no key":    {first("tiled_logs", "key", ""), "SubjectPublicKeyInfo"},
		"bad url":   {first("logs", "url", "ftp://x.example"), "https://"},
		"long name": {first("logs", "description", strings.Repeat("x", 1000)), "name"},
		"twice":     {func(op map[string]any) { op["logs"] = append(op["logs"].([]any), op["logs"].([]any)[0]) }, "same key"},
	} {
		if _, err := ParseLogList(logList(t, c.change)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, bad := range []string{"", "null", "{}", "[]", `{"operators":"x"}`} {
		if _, err := ParseLogList([]byte(bad)); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
	if logs, err := ParseLogList([]byte(`{"operators":[null,{"logs":[null],"tiled_logs":[null]}]}`)); err != nil || len(logs) != 0 {
		t.Errorf("%v %v", logs, err)
	}
}

func TestNames(t *testing.T) {
	w := watch(zonesOf("finmicro.example", "apps.finmicro.example", "bücher.example", "pay.test"))
	for name, want := range map[string]string{
		"finmicro.example": "finmicro.example", "FINMICRO.EXAMPLE.": "finmicro.example", "a.b.finmicro.example": "a.b.finmicro.example",
		"*.finmicro.example": "*.finmicro.example", "*.example": "*.example", "*.test": "*.test", "bücher.example": "xn--bcher-kva.example",
		"www.XN--BCHER-KVA.example": "www.xn--bcher-kva.example", "xfinmicro.example": "", "finmicro.example.evil.example": "", "example": "", "": "",
		"192.0.2.1": "", "ｆinmicro.example": "", `fin\109icro.example`: "", "*.com": "", "*.*.example": "", "Fin Micro Ltd": "", strings.Repeat("a", 2000): "",
	} {
		if got, ok := w.match(name); got != want || ok != (want != "") {
			t.Errorf("%q: %q %v", name, got, ok)
		}
	}
}

// The quick look must never pass over a certificate that the slow one would take.
func TestQuickLook(t *testing.T) {
	a := newAuthority(t)
	w := watch(zonesOf("finmicro.example", "bücher.example"))
	for name, want := range map[string]bool{
		"pay.FinMicro.Example": true, "shop.xn--bcher-kva.example": true, "*.example": true, "www.other.test": false,
	} {
		der := a.certificate(a.serial(), nil, name)
		if may, _ := w.mayMatch(der, nil); may != want {
			t.Errorf("%s: %v", name, may)
		}
	}
	if may, _ := w.mayMatch([]byte("\x00f\x00i\x00n\x00m\x00I\x00c\x00r\x00o\x00.\x00e\x00x\x00a\x00m\x00p\x00l\x00e"), nil); !may {
		t.Error("a name in UTF-16 is passed over")
	}
	if may, _ := w.mayMatch([]byte("www.bücher.example"), nil); !may {
		t.Error("a name in Unicode is passed over")
	}
}
