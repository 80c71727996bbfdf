package trash

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"github.com/guppy-prep/guppy/internal/store"
)

// Others are the other stores of a repository. A file that its own store does not need, but another one does, is only
// removed if Others has read a good copy in a store that needs it. Others is not safe for concurrent use.
type Others struct {
	// Open opens a store by its identity.
	Open func(ctx context.Context, identity string) (store.Store, error)

	// away holds the errors of stores that can't be read. They are not tried again: some take long to fail.
	away map[string]error
	kept []Kept
	// seen holds the URLs of the kept files.
	seen map[string]bool
}

// Kept says which files stay in a store that does not need them, since no good copy was found where they are needed.
type Kept struct {
	// Store is the URL of the store, and File the name of one of the files.
	Store, File string
	Files       int64
	// Reason is why the first copy of File was not proved to be good.
	Reason error
}

func (k Kept) String() string {
	files, verb, them := k.File, "stays", "it"
	if k.Files > 1 {
		files, verb, them = fmt.Sprintf("%d files, such as %s,", k.Files, k.File), "stay", "them"
	}
	return fmt.Sprintf("%s %s in %s, which does not need %s any more, because the copy that another store needs is not "+
		"proved to be good: %v; guppy check --repair --yes repairs that copy if it is damaged, and then guppy gc --strays "+
		"--yes removes %s here", files, verb, k.Store, them, k.Reason, them)
}

// Kept returns which files stay, with one entry for each store that has some.
func (o *Others) Kept() []Kept {
	if o == nil {
		return nil
	}
	return slices.Clone(o.kept)
}

// keep notes, once, that a file stays.
func (o *Others) keep(files store.Store, name string, reason error) {
	url := store.BlobURL(files.URL(), name)
	if o.seen[url] {
		return
	}
	if o.seen == nil {
		o.seen = map[string]bool{}
	}
	o.seen[url] = true

	for i := range o.kept {
		if kept := &o.kept[i]; kept.Store == files.URL() {
			kept.Files++
			return
		}
	}
	o.kept = append(o.kept, Kept{Store: files.URL(), File: name, Files: 1, Reason: reason})
}

// prove reads the copies of a file in some stores, until it finds a good one. It returns the identity of the store
// that has it. Unless the context has ended, the error says why a copy is not good.
func (o *Others) prove(ctx context.Context, stores []string, name string) (proved string, reason error) {
	for _, identity := range stores {
		err := o.read(ctx, identity, name)
		if err == nil {
			return identity, nil
		}
		if ctx.Err() != nil {
			return "", context.Cause(ctx)
		}
		if reason == nil {
			reason = err
		}
	}
	return "", reason
}

// read returns an error unless a store has a good copy of a file.
func (o *Others) read(ctx context.Context, identity, name string) error {
	if err := o.away[identity]; err != nil {
		return err
	}

	files, err := o.Open(ctx, identity)
	if err != nil {
		o.giveUp(identity, err)
		return err
	}

	got, err := store.Digest(ctx, files, name)
	digest, _ := ParseName(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%s is gone", store.BlobURL(files.URL(), name))
	case errors.Is(err, store.ErrAbsent), errors.Is(err, store.ErrUnusable):
		o.giveUp(identity, err)
	case err == nil && got != digest:
		return fmt.Errorf("%s is damaged", store.BlobURL(files.URL(), name))
	}
	return err
}

func (o *Others) giveUp(identity string, err error) {
	if o.away == nil {
		o.away = map[string]error{}
	}
	o.away[identity] = err
}
