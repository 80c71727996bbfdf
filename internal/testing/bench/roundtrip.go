package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/guppy-prep/guppy/dialect"
	"github.com/guppy-prep/guppy/migrate"
)

// roundTrips compares a database near by with one far away.
type roundTrips struct{ delay time.Duration }

func newRoundTrips() roundTrips { return roundTrips{5 * time.Millisecond} }

// near is a server whose databases have their tables before they are used, as operators make them.
type near struct{ server }

func (n near) create(ctx context.Context, dir string) (dialect.Secret, error) {
	database, err := n.server.create(ctx, dir)
	if err != nil {
		return "", err
	}
	_, err = migrate.New(dialect.Settings{URL: database}).Up(ctx)
	return database, err
}

// far is a near server on the other side of a proxy. Only users of its databases go through the proxy.
type far struct {
	near
	proxy *proxy
}

func (f far) create(ctx context.Context, dir string) (dialect.Secret, error) {
	direct, err := f.near.create(ctx, dir)
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
		plain, ok := on.engine.(server)
		if !ok {
			continue
		}

		for _, c := range b.corpora {
			lines, err := x.compare(ctx, b, on.name, near{plain}, c)
			if err != nil {
				return err
			}
			r.Further = append(r.Further, lines...)
		}
	}
	return nil
}

func (x roundTrips) compare(ctx context.Context, b *bench, name string, here near, c corpus) (lines []line, err error) {
	address, err := here.address()
	if err != nil {
		return nil, err
	}

	p, err := newProxy(ctx, address, x.delay)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, p.close()) }()

	places := []running{{name: name, engine: here}, {name: name + " far away", engine: far{here, p}}}
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
