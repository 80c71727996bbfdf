package migrate

import "embed"

//go:embed sqlite/*.sql postgres/*.sql
var embedded embed.FS
