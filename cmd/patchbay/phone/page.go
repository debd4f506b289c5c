package phone

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/patchbay/patchbay/sip"
)

// page is a login as a page of the server has one.
type page struct {
	url   *url.URL // scheme and host
	token string
}

// logInTime is how long the server may take for a login, or for the handshake of the WebSocket.
const logInTime = 10 * time.Second

// mostAnswer bounds what is read of the server's answer, in bytes.
const mostAnswer = 64 << 10

// logIn logs in and learns the address that the user has. The error is a *Failure if the server refuses, or is away.
func (p *Phone) logIn(ctx context.Context) error {
	u, err := url.Parse(p.cfg.Page)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || strings.Trim(u.Path, "/") != "" {
		return fmt.Errorf("page %q: expected a URL such as http://127.0.0.1:8888 or https://gateway.example:8433", p.cfg.Page)
	}
	u.Path = ""
	port := uint64(80)
	if u.Scheme == "https" {
		port = 443
	}
	if s := u.Port(); s != "" {
		if port, err = strconv.ParseUint(s, 10, 16); err != nil || port == 0 {
			return fmt.Errorf("page %q: port %q: expected 1 to 65535", p.cfg.Page, s)
		}
	}
	addr, err := resolve(ctx, u.Hostname())
	if err != nil {
		return fmt.Errorf("page %q: %w", p.cfg.Page, err)
	}
	p.server = netip.AddrPortFrom(addr, uint16(port))
	pg := &page{url: u}
	p.tell(time.Time{}, "logs in as %s at %s", p.cfg.User, u)
	var answer struct {
		Token string `json:"token"`
		SIP   struct {
			Domain string `json:"domain"`
		} `json:"sip"`
	}
	if err := pg.post(ctx, "login", map[string]string{"user": p.cfg.User, "password": p.cfg.Password}, &answer); err != nil {
		return p.loginFailure(err)
	}
	if answer.Token == "" || answer.SIP.Domain == "" {
		return &Failure{Text: fmt.Sprintf("what answers at %s is no Patchbay: its login gives no token or no sip.domain", u)}
	}
	pg.token = answer.Token
	p.page, p.domain = pg, answer.SIP.Domain
	return nil
}

// refusal is a status of HTTP that isn't 2xx.
type refusal struct {
	status int
	text   string
}

func (r *refusal) Error() string { return r.text }

// post asks the server for something of the user's. into may be nil.
func (g *page) post(ctx context.Context, what string, body, into any) error {
	ctx, cancel := context.WithTimeout(ctx, logInTime)
	defer cancel()
	b, err := json.Marshal(body)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, g.url.String()+"/api/v1/me/"+what, bytes.NewReader(b))
	if err != nil {
		return err
	}
	req.Header = g.header()
	req.Header.Set("Content-Type", "application/json")
	if g.token != "" {
		req.Header.Set("Authorization", "Bearer "+g.token)
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true, Proxy: nil}}
	res, err := client.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(io.LimitReader(res.Body, mostAnswer))
	if err != nil {
		return err
	}
	if res.StatusCode < 200 || res.StatusCode > 299 {
		return &refusal{res.StatusCode, problemOf(res.Status, text)}
	}
	if into == nil {
		return nil
	}
	if err := json.Unmarshal(text, into); err != nil {
		return &refusal{res.StatusCode, "the answer is no JSON"}
	}
	return nil
}

// problemOf is the server's own word for a refusal, or the status.
func problemOf(status string, text []byte) string {
	var p struct {
		Error string `json:"error"`
	}
	if json.Unmarshal(text, &p) == nil && p.Error != "" {
		return status + ": " + p.Error
	}
	return status
}

// header is what a page sends along.
func (g *page) header() http.Header { return http.Header{"Origin": {g.url.String()}} }

// connect opens the WebSocket for SIP.
func (p *Phone) connect(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, logInTime)
	defer cancel()
	u := *p.page.url
	u.Scheme, u.Path = strings.Replace(u.Scheme, "http", "ws", 1), "/sip"
	p.cfg.Transport = u.Scheme
	d, err := p.ua.Connect(ctx, sip.WebSocketDial{URL: u.String(), Header: p.page.header()})
	if err != nil {
		return &Failure{Text: fmt.Sprintf("%s takes no SIP over WebSocket: %v", &u, err), Err: err}
	}
	p.way = d
	return nil
}

// logOut ends the login. That it has ended is for the server's own sake: nobody waits for it.
func (p *Phone) logOut() {
	if p.page == nil {
		return
	}
	if err := p.page.post(context.Background(), "logout", struct{}{}, nil); err != nil {
		p.log.Info("not logged out", "err", err)
	}
}

// loginFailure tells why a login failed.
func (p *Phone) loginFailure(err error) *Failure {
	f := &Failure{Err: err}
	var r *refusal
	switch {
	case !errors.As(err, &r):
		f.Text = fmt.Sprintf("nobody answers at %s: is the server running? (%v)", p.cfg.Page, err)
	case r.status == http.StatusUnauthorized:
		f.Status, f.Text = r.status, fmt.Sprintf("the server refuses user %q: the password is wrong, or there is no such user (%s)", p.cfg.User, r)
	default:
		f.Status, f.Text = r.status, fmt.Sprintf("the server at %s doesn't log %q in: %s", p.cfg.Page, p.cfg.User, r)
	}
	p.tell(time.Time{}, "is not logged in: %s", f.Text)
	return f
}
