package sqlrepo_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"time"

	"github.com/guppy-prep/guppy/dialect"
	"github.com/guppy-prep/guppy/migrate"
	"github.com/guppy-prep/guppy/sqlrepo"
)

// A program opens the database, brings its schema up to date, and works on an upload for as long as it has the lease.
func Example() {
	dir, err := os.MkdirTemp("", "guppy-example-")
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	if err := scanTwoFiles(context.Background(), filepath.Join(dir, "guppy.db")); err != nil {
		fmt.Println(err)
	}
	// Output:
	// photos: scanning
	// a/1.jpg
	// a-2.jpg
}

func scanTwoFiles(ctx context.Context, file string) error {
	settings := dialect.Settings{URL: dialect.Secret(file)}
	if _, err := migrate.New(settings).Ensure(ctx, false); err != nil {
		return err
	}
	db, err := dialect.Open(ctx, settings)
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()

	repo := sqlrepo.New(db)
	space, err := repo.AddSpace(ctx, sqlrepo.Space{DID: "did:key:z6MkExample", Name: "photos", ShardSize: 1 << 20})
	if err != nil {
		return err
	}
	source, err := repo.AddSource(ctx, sqlrepo.Source{Space: space.ID, Name: "nas", Path: []byte("/nas/photos")})
	if err != nil {
		return err
	}
	opened, err := repo.OpenUpload(ctx, source.ID, sqlrepo.Upload{Profile: "unixfs-v1-2025", ShardSize: space.ShardSize})
	if err != nil {
		return err
	}
	stage, err := repo.ClaimStage(ctx, sqlrepo.Claim{Worker: "example", Term: time.Minute}, opened.Upload.ID)
	if err != nil {
		return err
	}
	fmt.Printf("%s: %s\n", space.Name, stage.Upload.State)
	return listAfterScan(ctx, repo, stage)
}

// listAfterScan shows that entries come depth-first, whatever the order in which they were found.
func listAfterScan(ctx context.Context, repo *sqlrepo.Repository, stage sqlrepo.Stage) error {
	jpeg := sqlrepo.Fingerprint{Kind: sqlrepo.File, Size: 3, Mode: 0o644}
	found := sqlrepo.ScanBatch{Added: []sqlrepo.Entry{
		{Path: "a-2.jpg", Fingerprint: jpeg},
		{Path: sqlrepo.Path("a").Join("1.jpg"), Fingerprint: jpeg},
	}}
	if err := repo.SaveScan(ctx, stage, found); err != nil {
		return err
	}
	for entry, err := range repo.Entries(ctx, stage.Upload.ID, sqlrepo.EntryFilter{}) {
		if err != nil {
			return err
		}
		fmt.Println(entry.Path)
	}
	return nil
}
