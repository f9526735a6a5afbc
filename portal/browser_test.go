package portal_test

import (
	"context"
	"errors"
	"flag"
	"net"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"slipway/identity"
	"slipway/portal"
)

var shotsDir = flag.String("screenshots", "", "write pictures of pages into this directory")

// browse starts a browser and a portal that it can reach.
func browse(t *testing.T) (context.Context, *bench, string) {
	t.Helper()
	program := ""
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome", "chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			program = path
			break
		}
	}
	if program == "" {
		t.Skip("no browser was found: install chromium (Debian: apt-get install chromium) to run this test")
	}
	// The address has to be known before the portal is made, since it checks where requests come from.
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := "http://" + listener.Addr().String()
	b := newBench(t, func(o *portal.Options) { o.BaseURL = address })
	server := httptest.NewUnstartedServer(b.handler)
	server.Listener.Close()
	server.Listener = listener
	server.Start()
	t.Cleanup(server.Close)

	profile, err := os.MkdirTemp("", "slipway-browser-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(profile) })
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(program), chromedp.UserDataDir(profile), chromedp.NoSandbox, chromedp.DisableGPU, chromedp.NoFirstRun,
		chromedp.Flag("disable-background-networking", true), chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-sync", true),
		chromedp.Flag("disable-dev-shm-usage", true),
	)
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewExecAllocator(ctx, options...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	// What the content policy refuses, and what the script throws, fails the test.
	messages := chromedp.Console(ctx)
	over := make(chan struct{})
	go func() {
		defer close(over)
		for m, err := range messages {
			if err != nil {
				return
			}
			// A form that is refused is answered with 422, which the browser's log takes for a fault of the network.
			if m.Type == "error" && m.Source != "network" || m.IsException() {
				t.Errorf("the browser complains: %s", m)
			}
		}
	}()
	t.Cleanup(func() { cancel(); <-over })
	return ctx, b, address
}

// enter signs a person in as they do: by opening the link and pressing the button.
func (b *bench) enter(ctx context.Context, address, id string) error {
	link, err := b.people.IssueLink(context.Background(), identity.Person{ID: identity.System}, id, roles[id], 0)
	if err != nil {
		return err
	}
	return chromedp.Do(ctx,
		chromedp.Navigate(address+"/sign-in/"+link),
		chromedp.Click(`main form button`, chromedp.NodeVisible),
		chromedp.WaitVisible(`.whoami`),
	)
}

// says waits until a part of the page has some words in it.
func says(selector, words string) chromedp.Action[chromedp.Void] {
	return chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
		ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
		defer cancel()
		look := chromedp.Evaluate[string](`(document.querySelector("` + selector + `") || {}).innerText || ""`)
		last := ""
		for {
			now, err := look(ctx, target)
			if err == nil {
				last = now
			}
			switch {
			case strings.Contains(last, words):
				return nil
			case ctx.Err() != nil:
				return errors.New(selector + " does not say “" + words + "” but “" + last + "”")
			}
			select { // there is no event for "the words are there"
			case <-ctx.Done():
			case <-time.After(20 * time.Millisecond):
			}
		}
	})
}

func TestInABrowser(t *testing.T) {
	ctx, b, address := browse(t)
	if err := b.enter(ctx, address, ana); err != nil {
		t.Fatal(err)
	}
	b.desk.held = true
	err := chromedp.Do(ctx,
		chromedp.Click(`a.button[href="/apps/new"]`),
		chromedp.WaitVisible(`#name`),
		chromedp.SendKeys(`#name`, "expense-tracker"),
		chromedp.SendKeys(`#host`, "expenses"),
		says("#preview", "Still to fill in"),
		chromedp.Click(`label[for="exposure"]`),
		chromedp.Click(`label[for="data"]`),
		says("#preview", "Green"),
		chromedp.SendKeys(`#targets`, "192.0.2.300"),
		chromedp.SendKeys(`#purpose`, "nothing"),
		chromedp.SendKeys(`#team`, "finance-operations"),
		says("#targets-notes", "neither an address"), // beside the field that was left
		chromedp.SetValue(`#targets`, "192.0.2.10"),
		chromedp.SendKeys(`#team`, "s"),
		says("#preview", "Not possible as it is"),
		says("#purpose-notes", "The purpose says nothing"),
		chromedp.SetValue(`#purpose`, "Tracks team expenses before they reach the ledger"),
		chromedp.Click(`label[for="data-financial"]`),
		chromedp.Click(`label[for="data"]`),
		says("#preview", "Red"),
		says("#preview", "Legal, Security and Product"),
		chromedp.Click(`label[for="data-financial"]`),
		chromedp.Click(`label[for="data"]`),
		says("#preview", "Green"),
		says("#preview-status", "Tier green"),
		chromedp.Click(`button[value="submit"]`),
		says("h1", "Launch expense-tracker"),
		says(".standing", "The request is approved"),
		chromedp.Evaluate[chromedp.Void](`document.body.dataset.same = "yes"`),
	)
	if err != nil {
		t.Fatal(err)
	}
	path, err := chromedp.Run(ctx, chromedp.Location())
	if err != nil {
		t.Fatal(err)
	}
	// The page follows what happens without being loaded again.
	b.desk.mu.Lock()
	b.desk.held = false
	err = b.desk.advance(t.Context(), path[strings.LastIndex(path, "/")+1:])
	b.desk.mu.Unlock()
	if err != nil {
		t.Fatal(err)
	}
	if err := chromedp.Do(ctx, says(".standing", "everything answers as approved"), says(".timeline", "Published the domain apps.finmicro.example")); err != nil {
		t.Fatal(err)
	}
	same, err := chromedp.Run(ctx, chromedp.Evaluate[string](`document.body.dataset.same || ""`))
	if err != nil {
		t.Fatal(err)
	}
	if same != "yes" {
		t.Error("the page was loaded again instead of following")
	}
	err = chromedp.Do(ctx, chromedp.Navigate(address+"/apps/new"), chromedp.Click(`button[value="submit"]`), chromedp.WaitVisible(`#errors`))
	if err != nil {
		t.Fatal(err)
	}
	focus, err := chromedp.Run(ctx, chromedp.Evaluate[string](`document.activeElement.id`))
	if err != nil {
		t.Fatal(err)
	}
	if focus != "errors" {
		t.Errorf("after a mistake the focus is on %q, not on the list of errors", focus)
	}
}

func TestRenewInABrowser(t *testing.T) {
	ctx, b, address := browse(t)
	b.ask(ana, filled())
	if err := b.enter(ctx, address, ana); err != nil {
		t.Fatal(err)
	}
	err := chromedp.Do(ctx,
		chromedp.Click(`.main-nav a[href="/certificates"]`),
		says("h1", "Certificates"),
		says(".calendar", "December 2026"),
		chromedp.SendKeys(`#search`, "expense"),
		chromedp.Click(`search button`),
		says(".certs", "29 days left"),
		chromedp.Click(`.certs th a`),
		says("h1", "Certificate for expenses.apps.finmicro.example"),
		says(".facts", "it never leaves it"),
		chromedp.Click(`form[action$="/renew"] button`),
		says("[role=status].good", "new certificate, with a new key"),
		chromedp.Click(`a[href$="/revoke"]`),
		chromedp.Click(`label[for="reason-key-compromise"]`),
		chromedp.SendKeys(`#why`, "The server was broken into."),
		chromedp.Click(`form[action$="/revoke"] button`),
		says("[role=status].good", "The certificate is revoked"),
	)
	if err != nil {
		t.Fatal(err)
	}
}

// What only a browser can measure: nothing is wider than a narrow screen, what
// can be pressed is large enough, and the focus can be seen.
func TestPagesInABrowser(t *testing.T) {
	ctx, b, address := browse(t)
	shots := b.shots()
	for _, who := range []string{ana, ivy, admin} {
		if err := b.enter(ctx, address, who); err != nil {
			t.Fatal(err)
		}
		for _, s := range shots {
			if s.who == who && s.method == "GET" {
				t.Run(s.name, func(t *testing.T) { measure(t, ctx, s.name, address+s.path) })
			}
		}
	}
}

// measured are the faults that this script returns as sentences.
const measured = `(() => {
	const faults = [], wide = document.documentElement.scrollWidth;
	if (wide > innerWidth) faults.push("the page is " + wide + " wide on a screen of " + innerWidth);
	for (const el of document.querySelectorAll("a, button, input:not([type=hidden]), select, textarea, summary")) {
		const r = el.getBoundingClientRect();
		if (r.width === 0 || el.classList.contains("skip")) continue;
		const inText = el.tagName === "A" && ["P", "LI", "DD", "BLOCKQUOTE"].includes(el.parentElement.tagName) && !el.classList.contains("button");
		const choice = el.labels && el.labels.length && (el.type === "radio" || el.type === "checkbox");
		if (!inText && !choice && (r.width < 24 || r.height < 24)) faults.push("“" + (el.innerText || el.name) + "” is " + Math.round(r.width) + "×" + Math.round(r.height) + ", too small to press");
		el.focus({preventScroll: true, focusVisible: true});
		const style = getComputedStyle(el);
		if (document.activeElement === el && (style.outlineStyle === "none" || parseFloat(style.outlineWidth) < 2)) faults.push("the focus cannot be seen on “" + (el.innerText || el.name) + "”");
	}
	if (document.activeElement) document.activeElement.blur();
	return faults;
})()`

func measure(t *testing.T, ctx context.Context, name, address string) {
	for _, view := range []struct {
		name          string
		width, height int64
		scheme        string
	}{{"wide-light", 1280, 900, "light"}, {"narrow-dark", 320, 800, "dark"}} {
		scheme := chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
			_, err := cdp.Call(ctx, target, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: view.scheme}}})
			return err
		})
		open := func() error {
			return chromedp.Do(ctx, chromedp.EmulateViewport(view.width, view.height), scheme, chromedp.Navigate(address), chromedp.WaitReady(`main`))
		}
		err := open()
		if err != nil && strings.Contains(err.Error(), "ERR_ABORTED") { // by the page before, which was still loading
			err = open()
		}
		if err != nil {
			t.Fatal(err)
		}
		faults, err := chromedp.Run(ctx, chromedp.Evaluate[[]string](measured))
		if err != nil {
			t.Fatal(err)
		}
		if *shotsDir != "" {
			picture, err := chromedp.Run(ctx, chromedp.FullScreenshot(100))
			if err == nil {
				err = os.WriteFile(filepath.Join(*shotsDir, name+"-"+view.name+".png"), picture, 0o644)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		for _, f := range faults {
			t.Errorf("%s: %s", view.name, f)
		}
	}
}
