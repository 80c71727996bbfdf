package migrate

import (
	"embed"

	_ "github.com/guppy-prep/guppy/dialect/engines" // each has a directory here
)

//go:embed */*.sql
var embedded embed.FS
