package sqlite

import (
	"context"
	"errors"
	"io/fs"
	"net/url"
	"os"

	"github.com/jmoiron/sqlx"
)

// openPeek opens a file that other processes may be using. While nobody has it open, there is no WAL beside it, and all
// of it is in the file. SQLite would make a WAL to read it, unless the file is called immutable.
func openPeek(ctx context.Context, file string) (*sqlx.DB, error) {
	log, err := exists(file + "-wal")
	if err != nil {
		return nil, err
	}
	index, err := exists(file + "-shm")
	switch {
	case err != nil:
		return nil, err
	case log && !index:
		return nil, errNotAlone // SQLite would make the index
	case log:
		return openUnchanged(ctx, file, url.Values{})
	}
	return openUnchanged(ctx, file, url.Values{"immutable": {"1"}})
}

func exists(file string) (bool, error) {
	_, err := os.Stat(file)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}
