package webtest

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"sync"
	"time"
)

// Page is one tab, in a profile of its own: what it stores, no other page sees.
type Page struct {
	browser *Browser
	session string
	target  string
	profile string

	mu      sync.Mutex
	errors  []string
	dialogs []string
}

// most is how many errors of a page are kept.
const most = 100

// Open opens a page, which may use the microphone, and returns when its scripts have run.
func (b *Browser) Open(ctx context.Context, url string) (*Page, error) {
	var made struct{ BrowserContextID, TargetID, SessionID string }
	if err := b.call(ctx, "", "Target.createBrowserContext", nil, &made); err != nil {
		return nil, err
	}
	p := &Page{browser: b, profile: made.BrowserContextID}
	if err := b.call(ctx, "", "Target.createTarget", map[string]any{"url": "about:blank", "browserContextId": p.profile}, &made); err != nil {
		return nil, err
	}
	p.target = made.TargetID
	if err := b.call(ctx, "", "Target.attachToTarget", map[string]any{"targetId": p.target, "flatten": true}, &made); err != nil {
		return nil, err
	}
	p.session = made.SessionID
	b.mu.Lock()
	b.pages[p.session] = p
	b.mu.Unlock()
	for _, domain := range []string{"Runtime", "Log", "Page"} {
		if err := p.call(ctx, domain+".enable", nil, nil); err != nil {
			return nil, err
		}
	}
	if err := p.Microphone(ctx, true); err != nil {
		return nil, err
	}
	return p, p.Navigate(ctx, url)
}

// Navigate loads another address into the page and returns when its scripts have run.
func (p *Page) Navigate(ctx context.Context, url string) error {
	var r struct{ ErrorText string }
	if err := p.call(ctx, "Page.navigate", map[string]any{"url": url}, &r); err != nil {
		return err
	}
	if r.ErrorText != "" {
		return fmt.Errorf("open %s: %s", url, r.ErrorText)
	}
	return p.Wait(ctx, "document.readyState === 'complete' && location.href !== 'about:blank'")
}

// Close closes the page as a person closes a tab: it is told so, and may say goodbye to others.
func (p *Page) Close(ctx context.Context) error {
	err := p.browser.call(ctx, "", "Target.closeTarget", map[string]any{"targetId": p.target}, nil)
	p.browser.mu.Lock()
	delete(p.browser.pages, p.session)
	p.browser.mu.Unlock()
	return err
}

func (p *Page) call(ctx context.Context, method string, params map[string]any, out any) error {
	return p.browser.call(ctx, p.session, method, params, out)
}

// Eval evaluates an expression in the page, awaits it if it is a promise, and reads its value (as JSON) into out if that
// isn't nil.
func (p *Page) Eval(ctx context.Context, expression string, out any) error {
	var r struct {
		Result struct {
			Value json.RawMessage
		}
		ExceptionDetails *struct {
			Text      string
			Exception struct{ Description string }
		}
	}
	err := p.call(ctx, "Runtime.evaluate", map[string]any{
		"expression": expression, "awaitPromise": true, "returnByValue": true, "userGesture": true}, &r)
	switch {
	case err != nil:
		return err
	case r.ExceptionDetails != nil:
		return fmt.Errorf("%s: %s %s", expression, r.ExceptionDetails.Text, r.ExceptionDetails.Exception.Description)
	case out == nil || r.Result.Value == nil:
		return nil
	}
	return json.Unmarshal(r.Result.Value, out)
}

// Wait returns when the expression is true in the page, and an error when ctx ends before.
func (p *Page) Wait(ctx context.Context, expression string) error {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		var is bool
		if err := p.Eval(ctx, "Boolean("+expression+")", &is); err != nil {
			return fmt.Errorf("waiting for %s: %w", expression, err)
		}
		if is {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("waiting for %s: %w", expression, ctx.Err())
		}
	}
}

// Text is the text that an element shows, as a person reads it.
func (p *Page) Text(ctx context.Context, selector string) (string, error) {
	var s string
	err := p.Eval(ctx, fmt.Sprintf("(document.querySelector(%q)?.innerText ?? '').trim()", selector), &s)
	return s, err
}

// Data is a data attribute of an element ("data-" is left out), "" if there is none.
func (p *Page) Data(ctx context.Context, selector, name string) (string, error) {
	var s string
	err := p.Eval(ctx, fmt.Sprintf("document.querySelector(%q)?.getAttribute(%q) ?? ''", selector, "data-"+name), &s)
	return s, err
}

// Click waits until the element is there and can be pressed, and presses it in its middle with the mouse.
func (p *Page) Click(ctx context.Context, selector string) error {
	var at struct{ X, Y float64 }
	ready := fmt.Sprintf(`(() => { const e = document.querySelector(%q); if (!e || e.disabled) return null;
		e.scrollIntoView({block: 'nearest'}); const r = e.getBoundingClientRect(); const [x, y] = [r.x + r.width/2, r.y + r.height/2];
		const top = document.elementFromPoint(x, y); return r.width > 0 && (e.contains(top) || top?.contains(e)) ? {x, y} : null; })()`, selector)
	if err := p.Wait(ctx, ready); err != nil {
		return fmt.Errorf("click %s: %w", selector, err)
	}
	if err := p.Eval(ctx, ready, &at); err != nil {
		return fmt.Errorf("click %s: %w", selector, err)
	}
	for _, kind := range []string{"mousePressed", "mouseReleased"} {
		err := p.call(ctx, "Input.dispatchMouseEvent", map[string]any{"type": kind, "x": at.X, "y": at.Y, "button": "left", "clickCount": 1}, nil)
		if err != nil {
			return fmt.Errorf("click %s: %w", selector, err)
		}
	}
	return nil
}

// Fill replaces the text of a field.
func (p *Page) Fill(ctx context.Context, selector, text string) error {
	if err := p.Wait(ctx, fmt.Sprintf("document.querySelector(%q) && !document.querySelector(%q).disabled", selector, selector)); err != nil {
		return fmt.Errorf("fill %s: %w", selector, err)
	}
	if err := p.Eval(ctx, fmt.Sprintf("(e => { e.focus(); e.select(); })(document.querySelector(%q))", selector), nil); err != nil {
		return fmt.Errorf("fill %s: %w", selector, err)
	}
	return p.call(ctx, "Input.insertText", map[string]any{"text": text}, nil)
}

// Key presses a key of the keyboard: a character, or "Enter", "Tab", "Home", "ArrowRight".
func (p *Page) Key(ctx context.Context, key string) error {
	down := map[string]any{"type": "keyDown", "key": key}
	switch key {
	case "Enter":
		down["text"], down["windowsVirtualKeyCode"] = "\r", 13
	case "Tab":
		down["windowsVirtualKeyCode"] = 9
	case "Home":
		down["windowsVirtualKeyCode"] = 36
	case "ArrowRight":
		down["windowsVirtualKeyCode"] = 39
	default:
		down["text"] = key
	}
	if err := p.call(ctx, "Input.dispatchKeyEvent", down, nil); err != nil {
		return err
	}
	return p.call(ctx, "Input.dispatchKeyEvent", map[string]any{"type": "keyUp", "key": key}, nil)
}

// Microphone grants or refuses the microphone to the page's profile.
func (p *Page) Microphone(ctx context.Context, granted bool) error {
	setting := "denied"
	if granted {
		setting = "granted"
	}
	return p.browser.call(ctx, "", "Browser.setPermission", map[string]any{
		"permission": map[string]any{"name": "microphone"}, "setting": setting, "browserContextId": p.profile}, nil)
}

// Screen sets the page's size in CSS pixels and its colour scheme, as a desk's screen or a telephone's has it.
func (p *Page) Screen(ctx context.Context, width, height int, dark bool) error {
	err := p.call(ctx, "Emulation.setDeviceMetricsOverride", map[string]any{
		"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false}, nil)
	if err != nil {
		return err
	}
	scheme := "light"
	if dark {
		scheme = "dark"
	}
	return p.call(ctx, "Emulation.setEmulatedMedia", map[string]any{
		"features": []map[string]string{{"name": "prefers-color-scheme", "value": scheme}}}, nil)
}

// Screenshot is what the page looks like now, as PNG.
func (p *Page) Screenshot(ctx context.Context) ([]byte, error) {
	var r struct{ Data string }
	if err := p.call(ctx, "Page.captureScreenshot", map[string]any{"format": "png"}, &r); err != nil {
		return nil, err
	}
	return base64.StdEncoding.DecodeString(r.Data)
}

// Errors are what went wrong in the page so far: exceptions, console errors, refused loads, breaches of its policy.
func (p *Page) Errors() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]string(nil), p.errors...)
}

// Dialogs are the kinds of dialogs that the page opened so far ("alert", "beforeunload", …). All are accepted at once.
func (p *Page) Dialogs() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]string(nil), p.dialogs...)
}

func (p *Page) event(method string, params json.RawMessage) {
	var e struct {
		Entry            struct{ Level, Text, URL string }
		Type             string
		Args             []struct{ Value, Description any }
		ExceptionDetails struct {
			Text      string
			Exception struct{ Description string }
		}
	}
	if err := json.Unmarshal(params, &e); err != nil {
		return
	}
	var said string
	switch {
	case method == "Page.javascriptDialogOpening":
		p.browser.post(p.session, "Page.handleJavaScriptDialog", map[string]any{"accept": true})
		p.mu.Lock()
		defer p.mu.Unlock()
		if len(p.dialogs) < most {
			p.dialogs = append(p.dialogs, e.Type)
		}
		return
	case method == "Runtime.exceptionThrown":
		said = e.ExceptionDetails.Text + " " + e.ExceptionDetails.Exception.Description
	case method == "Log.entryAdded" && e.Entry.Level == "error":
		said = e.Entry.Text + " " + e.Entry.URL
	case method == "Runtime.consoleAPICalled" && e.Type == "error":
		for _, a := range e.Args {
			said += fmt.Sprint(a.Value, a.Description, " ")
		}
	default:
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.errors) < most {
		p.errors = append(p.errors, said)
	}
}
