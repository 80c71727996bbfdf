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
there, whether each is to be seen from this host, and how much room it has.`

func (a *app) storeLsCommand() *cobra.Command {
	command := &cobra.Command{
		Use: "ls", Short: "List stores", Long: storeLsHelp, Args: usageArgs(cobra.NoArgs),
		RunE: a.readingCommand(a.listStores),
	}
	a.addListFlags(command)
	addStorePathFlag(command.Flags())
	return command
}

// knownStore is a store that the repository knows.
type knownStore struct {
	storeRef
	CreatedAt  instant `json:"created_at"`             // when it was made known
	LastUsedAt instant `json:"last_used_at,omitempty"` // when an upload last used it
}

func newKnownStore(row sqlrepo.Store) knownStore {
	return knownStore{newStoreRef(row), formatTime(row.CreatedAt), formatTime(row.SeenAt)}
}

func (v knownStore) text(w io.Writer) {
	fmt.Fprintf(w, "%s  %s  %s\n", v.Store, printable(v.StoreURL), v.StoreIdentity)
}

// storeView is a store as it is listed.
type storeView struct {
	knownStore
	Uploads     int64         `json:"upload_count"`         // number of uploads that are there
	Shards      int64         `json:"shard_count"`          // number of their shards
	Bytes       int64         `json:"bytes"`                // size of these shards
	CopiedFiles int64         `json:"copied_file_count"`    // number of files that it has as a replica
	CopiedBytes int64         `json:"copied_bytes"`         // size of these files
	Spaces      []string      `json:"space_names"`          // spaces whose new uploads go there
	Replicas    []replicaView `json:"replicas"`             // what the store is a replica of
	Reachable   bool          `json:"reachable"`            // whether this host can use it now
	Reason      string        `json:"reason,omitempty"`     // why this host can't
	FreeBytes   *int64        `json:"free_bytes,omitempty"` // room that is left, if that is known
	// removed counts removed uploads of which something is left.
	removed int64
}

var storeList = list[storeView]{
	name: "stores", empty: "no stores yet: guppy prepare PATH makes one, and guppy store add NAME URL",
	columns: []column[storeView]{
		{"STORE", func(v storeView) string { return v.Store }, words},
		{"UPLOADS", func(v storeView) string { return fmt.Sprint(v.Uploads) }, number},
		{"SHARDS", func(v storeView) string { return fmt.Sprint(v.Shards) }, number},
		{"SIZE", func(v storeView) string { return progress.Bytes(v.Bytes) }, number},
		{"FREE", storeView.free, number},
		{"SPACES", func(v storeView) string { return strings.Join(printables(v.Spaces), ", ") }, words},
		{"URL", func(v storeView) string { return printable(v.StoreURL) }, words},
		{"IDENTITY", func(v storeView) string { return v.StoreIdentity }, identifier},
		{"NOTES", storeView.notes, words},
	},
}

func (v storeView) free() string {
	if v.FreeBytes == nil {
		return ""
	}
	return progress.Bytes(*v.FreeBytes)
}

// notes says what the store is a replica of, and why it can't be used.
func (v storeView) notes() string {
	var notes []string
	if !v.Reachable {
		notes = append(notes, "not to be seen from here: "+oneLine(v.Reason))
	}
	if v.CopiedFiles > 0 {
		notes = append(notes, fmt.Sprintf("%s of other stores, %s", plural(v.CopiedFiles, "copied file"),
			progress.Bytes(v.CopiedBytes)))
	}
	for _, replica := range v.Replicas {
		notes = append(notes, replica.describe())
	}
	return strings.Join(notes, "; ")
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
		files, err := stores.Open(look, views[i].StoreIdentity)
		cancel()
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}

		views[i].Reachable = err == nil
		if err != nil {
			views[i].Reason = err.Error()
			continue
		}
		if free, ok := store.Free(files); ok {
			views[i].FreeBytes = &free
		}
	}
	return storeList.rows(a, views)
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
		views[i] = storeView{knownStore: newKnownStore(row), Spaces: []string{}, Replicas: []replicaView{}}
		for _, use := range uses {
			if use.Identity == row.Identity {
				views[i].Uploads, views[i].removed = use.Uploads-use.Removed, use.Removed
				views[i].Shards, views[i].Bytes = use.Shards, use.Bytes
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
