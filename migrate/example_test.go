package migrate_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/guppy-prep/guppy/dialect"
	"github.com/guppy-prep/guppy/migrate"
)

// A program brings the schema up when it starts, and tells its operator what to do when it can't.
func Example() {
	dir, err := os.MkdirTemp("", "guppy-example-")
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()

	ctx := context.Background()
	settings := dialect.Settings{URL: dialect.Secret(filepath.Join(dir, "guppy.db"))}
	migrator := migrate.New(settings)

	result, err := migrator.Ensure(ctx, false)
	var refused *migrate.RefusedError
	switch {
	case errors.As(err, &refused):
		fmt.Println(refused.Hint)
	case err != nil:
		fmt.Println(err)
	}

	status, err := migrator.Status(ctx)
	if err != nil {
		fmt.Println(err)
	}
	fmt.Println("migrated:", result.From == 0 && result.To == status.Required)
	fmt.Println("pending:", len(status.Pending))
	// Output:
	// migrated: true
	// pending: 0
}
