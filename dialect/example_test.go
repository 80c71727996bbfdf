package dialect_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/guppy-prep/guppy/dialect"
	_ "github.com/guppy-prep/guppy/dialect/engines" // makes engines known
)

// Callers ask what an engine can do, and how, and never which engine it is.
func Example() {
	dir, err := os.MkdirTemp("", "guppy-example-")
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	if err := insertTwice(context.Background(), dialect.Secret(filepath.Join(dir, "guppy.db"))); err != nil {
		fmt.Println(err)
	}

	// Output:
	// again: it exists: true
	// a copy can be set aside: true
}

func insertTwice(ctx context.Context, url dialect.Secret) error {
	db, err := dialect.Open(ctx, dialect.Settings{URL: url})
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	if _, err := db.Writer.ExecContext(ctx, "CREATE TABLE names (name TEXT PRIMARY KEY)"); err != nil {
		return err
	}

	insert, err := db.Placeholder.ReplacePlaceholders("INSERT INTO names VALUES (?)")
	if err != nil {
		return err
	}
	if _, err := db.Writer.ExecContext(ctx, insert, "guppy"); err != nil {
		return err
	}

	_, err = db.Writer.ExecContext(ctx, insert, "guppy")
	fmt.Println("again: it exists:", db.Classify(err) == dialect.Exists)
	fmt.Println("a copy can be set aside:", db.CopiesAside())
	return nil
}
