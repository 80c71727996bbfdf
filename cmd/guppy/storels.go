package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/guppy-prep/guppy/internal/config"
	"github.com/guppy-prep/guppy/internal/progress"
	"github.com/guppy-prep/guppy/internal/store"
	"github.com/guppy-prep/guppy/sqlrepo"
)

const storeLsHelp = `Ls lists the stores of the repository: where they are, what uploads have in
them, what was copied to them as replicas, the spaces whose new uploads go
there, whether each is to be seen from this host, and how much room it has.

With --json it prints a list of name, url, identity, uploads, shards, bytes,
copied_files and copied_bytes (shards and indexes that it has as a replica),
spaces, created_at, last_used_at, replicas (a list of what the store is a
replica of: of, a store, or space; missing_files, missing_bytes and synced_at),
reachable, reason (why it is not) and free_bytes (of a directory).`

func (a *app) storeLsCommand() *cobra.Command {
	command := &cobra.Command{
		Use: "ls", Short: "List stores", Long: storeLsHelp, Args: usageArgs(cobra.NoArgs),
		RunE: a.repositoryCommand(a.listStores),
	}
	addStorePathFlag(command.Flags())
	return command
}

// storeView is a store as it is listed.
type storeView struct {
	Name     string `json:"name"`
	URL      string `json:"url"`
	Identity string `json:"identity"`
	Uploads  int64  `json:"uploads"`
	Shards   int64  `json:"shards"`
	Bytes    int64  `json:"bytes"`
	// CopiedFiles and CopiedBytes count what the store has as a replica.
	CopiedFiles int64    `json:"copied_files"`
	CopiedBytes int64    `json:"copied_bytes"`
	Spaces      []string `json:"spaces"`
	// Replicas says what the store is a replica of.
	Replicas   []replicaView `json:"replicas,omitempty"`
	CreatedAt  string        `json:"created_at"`
	LastUsedAt string        `json:"last_used_at,omitempty"`
	// Reachable is nil unless this host has looked for the store.
	Reachable *bool  `json:"reachable,omitempty"`
	Reason    string `json:"reason,omitempty"`
	FreeBytes *int64 `json:"free_bytes,omitempty"`
}

func newStoreView(row sqlrepo.Store) storeView {
	return storeView{Name: row.Name, URL: row.URL, Identity: row.Identity, Spaces: []string{},
		CreatedAt: formatTime(row.CreatedAt), LastUsedAt: formatTime(row.SeenAt)}
}

func (v storeView) text(w io.Writer) {
	fmt.Fprintf(w, "%s  %s  %s\n", v.Name, printable(v.URL), v.Identity)
}

// listText prints what lies in the store and whether it is there.
func (v storeView) listText(w io.Writer) {
	v.text(w)
	fmt.Fprintf(w, "  %s, %s, %s", plural(v.Uploads, "upload"), plural(v.Shards, "shard"), progress.Bytes(v.Bytes))

	if v.CopiedFiles > 0 {
		fmt.Fprintf(w, "; %s of other stores, %s", plural(v.CopiedFiles, "copied file"), progress.Bytes(v.CopiedBytes))
	}
	if len(v.Spaces) > 0 {
		fmt.Fprintf(w, "; store of space %s", printable(strings.Join(v.Spaces, ", ")))
	}
	if v.FreeBytes != nil {
		fmt.Fprintf(w, "; %s free", progress.Bytes(*v.FreeBytes))
	}
	fmt.Fprintln(w)

	for _, replica := range v.Replicas {
		replica.text(w)
	}
	if v.Reachable != nil && !*v.Reachable {
		fmt.Fprintf(w, "  not to be seen from here: %s\n", printable(v.Reason))
	}
}

// lookFor bounds how long a list waits for one store.
const lookFor = 15 * time.Second

func (a *app) listStores(ctx context.Context, cfg *config.Config, repo *repository, _ []string) error {
	views, err := storeViews(ctx, repo)
	if err != nil {
		return err
	}

	stores, err := a.stores(ctx, cfg, repo)
	if err != nil {
		return err
	}
	stores.Options.RetryFor = 0

	for i := range views {
		look, cancel := context.WithTimeout(ctx, lookFor)
		files, err := stores.Open(look, views[i].Identity)
		cancel()
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}

		reachable := err == nil
		views[i].Reachable = &reachable
		if err != nil {
			views[i].Reason = err.Error()
			continue
		}
		if free, ok := store.Free(files); ok {
			views[i].FreeBytes = &free
		}
	}
	return printList(a, views, func(v storeView) storeView { return v }, storeView.listText)
}

// storeViews returns what the repository knows of its stores.
func storeViews(ctx context.Context, repo *repository) ([]storeView, error) {
	rows, err := repo.Stores(ctx)
	if err != nil {
		return nil, err
	}
	uses, err := repo.StoreUses(ctx)
	if err != nil {
		return nil, err
	}
	copies, err := repo.CountCopies(ctx)
	if err != nil {
		return nil, err
	}
	spaces, err := repo.Spaces(ctx)
	if err != nil {
		return nil, err
	}
	replicas, err := repo.Replicas(ctx)
	if err != nil {
		return nil, err
	}

	views := make([]storeView, len(rows))
	for i, row := range rows {
		views[i] = newStoreView(row)
		for _, use := range uses {
			if use.Identity == row.Identity {
				views[i].Uploads, views[i].Shards, views[i].Bytes = use.Uploads, use.Shards, use.Bytes
			}
		}
		for _, count := range copies {
			if count.Identity == row.Identity {
				views[i].CopiedFiles, views[i].CopiedBytes = count.Files, count.Bytes
			}
		}
		for _, replica := range replicas {
			if replica.Store == row.Identity {
				views[i].Replicas = append(views[i].Replicas, newReplicaView(replica, rows, spaceNames(spaces)))
			}
		}
		for _, space := range spaces {
			if space.Store == row.Identity {
				views[i].Spaces = append(views[i].Spaces, space.Name)
			}
		}
	}
	return views, nil
}
