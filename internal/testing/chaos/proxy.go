// Package chaos gives tests a network between guppy and its database server that fails as networks do.
package chaos

import (
	"context"
	"fmt"
	"net/url"
	"strings"
	"testing"

	toxiproxy "github.com/Shopify/toxiproxy/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
)

// Proxy stands between clients and a database server. If it fails, its test fails.
type Proxy struct {
	tb    testing.TB
	url   *url.URL
	proxy *toxiproxy.Proxy
}

// StartProxy starts a proxy in front of the server of a postgres:// URL. It ends when the test does.
func StartProxy(tb testing.TB, location string) *Proxy {
	tb.Helper()
	server := parse(tb, location)
	metrics := toxiproxy.NewMetricsContainer(prometheus.NewRegistry())
	proxy := toxiproxy.NewProxy(toxiproxy.NewServer(metrics, zerolog.Nop()), "server", "127.0.0.1:0", server.Host)
	p := &Proxy{tb, server, proxy}
	p.Reconnect()
	tb.Cleanup(proxy.Stop)
	return p
}

func parse(tb testing.TB, location string) *url.URL {
	tb.Helper()
	server, err := url.Parse(location)
	if err != nil || server.Host == "" {
		tb.Fatal("not the URL of a server")
	}
	return server
}

// URL returns the URL of the server through the proxy.
func (p *Proxy) URL() string { return through(p.url, p.proxy.Listen) }

func through(server *url.URL, address string) string {
	u := *server
	u.Host = address
	return u.String()
}

// Cut breaks all connections and refuses new ones until Reconnect is called.
func (p *Proxy) Cut() { p.proxy.Stop() }

// Reconnect ends a Cut.
func (p *Proxy) Reconnect() {
	p.tb.Helper()
	if err := p.proxy.Start(); err != nil {
		p.tb.Errorf("proxy: %v", err)
	}
}

// Toxic is a disturbance of both directions, with toxiproxy's names and attributes.
type Toxic struct {
	Type       string
	Attributes string
}

// The disturbances.
var (
	// BlackHole swallows all bytes while it lasts, and then breaks the connections.
	BlackHole = Toxic{"timeout", `{"timeout": 0}`}
	// Reset breaks each connection at the next bytes that go over it.
	Reset = Toxic{"reset_peer", `{"timeout": 0}`}
)

// Delay delivers bytes late.
func Delay(milliseconds, jitter int) Toxic {
	return Toxic{"latency", fmt.Sprintf(`{"latency": %d, "jitter": %d}`, milliseconds, jitter)}
}

// Limit breaks each connection once it has carried this many bytes in one direction.
func Limit(bytes int) Toxic { return Toxic{"limit_data", fmt.Sprintf(`{"bytes": %d}`, bytes)} }

var directions = []string{"upstream", "downstream"}

// Begin disturbs the connections until the returned function is called.
func (p *Proxy) Begin(toxic Toxic) (end func()) {
	p.tb.Helper()
	for _, direction := range directions {
		toxic := fmt.Sprintf(`{"name": %q, "type": %q, "stream": %q, "toxicity": 1, "attributes": %s}`,
			direction, toxic.Type, direction, toxic.Attributes)
		if _, err := p.proxy.Toxics.AddToxicJson(strings.NewReader(toxic)); err != nil {
			p.tb.Errorf("proxy: %v", err)
		}
	}

	return func() {
		for _, direction := range directions {
			if err := p.proxy.Toxics.RemoveToxic(context.Background(), direction); err != nil {
				p.tb.Errorf("proxy: %v", err)
			}
		}
	}
}
