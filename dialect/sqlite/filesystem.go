package sqlite

import (
	"fmt"

	"github.com/guppy-prep/guppy/dialect"
)

// checkFilesystem refuses a directory where SQLite's locks and shared memory can't be relied on.
func checkFilesystem(dir string, allow bool) error {
	name, shared := filesystemOf(dir)
	if allow || !shared {
		return nil
	}
	return refuseFilesystem(dir, name)
}

func refuseFilesystem(dir, name string) error {
	return fmt.Errorf("%w: %s", dialect.ErrSettings, filesystemDanger(dir, name)+
		", or set repo.allow_network_filesystem to take the risk")
}

func filesystemDanger(dir, name string) string {
	return fmt.Sprintf("%s is on %s, where SQLite loses data: it counts on file locks and shared memory that such file "+
		"systems don't keep between hosts. Keep repo.data_dir on a local disk, or use PostgreSQL "+
		"(repo.database_url: postgres://USER@HOST/DATABASE)", dir, name)
}
