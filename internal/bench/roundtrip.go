package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/guppy-prep/guppy/dialect"
)

// roundTrips compares a database that is near with one that is far away.
type roundTrips struct{ delay time.Duration }

func newRoundTrips() roundTrips { return roundTrips{5 * time.Millisecond} }

// far is a server on the other side of a proxy. Only who asks for a database goes through it.
type far struct {
	server
	proxy *proxy
}

func (f far) create(ctx context.Context, dir string) (dialect.Secret, error) {
	direct, err := f.server.create(ctx, dir)
	if err != nil {
		return "", err
	}
	u, err := url.Parse(direct.Reveal())
	if err != nil {
		return "", errors.New("the server's URL is not valid")
	}
	u.Host = f.proxy.address()
	return dialect.Secret(u.String()), nil
}

// measure compares on all engines that are servers.
func (x roundTrips) measure(ctx context.Context, b *bench, r *report) error {
	for _, on := range b.running {
		near, ok := on.engine.(server)
		if !ok {
			continue
		}
		for _, c := range b.corpora {
			lines, err := x.compare(ctx, b, on.name, near, c)
			if err != nil {
				return err
			}
			r.Further = append(r.Further, lines...)
		}
	}
	return nil
}

func (x roundTrips) compare(ctx context.Context, b *bench, name string, near server, c corpus) (lines []line, err error) {
	address, err := near.address()
	if err != nil {
		return nil, err
	}
	proxy, err := newProxy(ctx, address, x.delay)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, proxy.close()) }()
	places := []running{{name: name, engine: near}, {name: name + " far away", engine: far{near, proxy}}}
	s := series{corpus: c, runs: make([][]prepared, len(places))}
	err = b.withCorpus(ctx, c, func(dir string, written contents) error {
		s.contents = written
		return b.warmed(c.name, func() error {
			for i, place := range places {
				if err := b.prepare(ctx, dir, place, &s, i); err != nil {
					return err
				}
			}
			return nil
		}, s.forget)
	})
	if err != nil {
		return nil, err
	}
	return x.lines(c, name, newTimes(s.walls(0)), newTimes(s.walls(1))), nil
}

func (x roundTrips) lines(c corpus, engine string, near, away times) []line {
	return []line{
		{Corpus: c.name, Engine: engine, Program: "guppy", Times: near},
		{Corpus: c.name, Engine: engine, Program: fmt.Sprintf("guppy %s away", x.delay), Times: away,
			Checks: []check{c.apart(near.Median, away.Median)}},
	}
}
