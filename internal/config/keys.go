package config

import (
	"slices"
	"strings"
	"time"

	"github.com/guppy-prep/guppy/dialect"
	_ "github.com/guppy-prep/guppy/dialect/engines" // whose names are allowed
	"github.com/guppy-prep/guppy/dialect/postgres"
	"github.com/guppy-prep/guppy/internal/formats/blobindex"
)

const (
	envPrefix = "GUPPY_"
	// envTestPrefix begins the variables of the project's own tests, which are not settings.
	envTestPrefix = "GUPPY_TEST_"
)

const (
	layoutKey = "index.layout"
	slicesKey = "index.max_slices"
)

// keySpec is one setting.
type keySpec struct {
	name  string
	kind  kind
	short string // a second, shorter environment variable
}

// keys lists every setting in the order of presentation.
var keys = []keySpec{
	{name: "repo.data_dir", kind: directory, short: "GUPPY_DATA_DIR"},
	{name: typeKey, kind: append(choice(dialect.Names()), ""), short: "GUPPY_DATABASE_TYPE"},
	{name: urlKey, kind: hidden{}, short: "GUPPY_DATABASE_URL"},
	{name: hostKey, kind: textKind{"a host, a list of hosts with commas, or the directory of a socket", isHost}},
	{name: portKey, kind: whole{0, 65535}},
	{name: userKey, kind: textKind{"the name of a role", isName}},
	{name: dbnameKey, kind: textKind{"the name of a database", isName}},
	{name: passwordKey, kind: hidden{whole: true}},
	{name: passwordFileKey, kind: path},
	{name: oldPasswordFileKey, kind: path},
	{name: sslmodeKey, kind: append(choice{"disable", "allow", "prefer", "require", "verify-ca", "verify-full"}, "")},
	{name: sslrootcertKey, kind: path},
	{name: sslcertKey, kind: path},
	{name: sslkeyKey, kind: path},
	{name: schemaKey, kind: textKind{"the name of a schema of at most 63 bytes without control characters", isIdentifier}},
	{name: poolerKey, kind: choice{PoolerNone, PoolerTransaction}},
	{name: execModeKey, kind: append(choice(postgres.ExecModes()), "")},
	{name: "repo.max_open_conns", kind: whole{0, 1000}},
	{name: "repo.max_idle_conns", kind: whole{0, 1000}},
	{name: "repo.conn_max_lifetime", kind: span{0, 24 * time.Hour}},
	{name: "repo.conn_max_idle_time", kind: span{0, 24 * time.Hour}},
	{name: "repo.busy_timeout", kind: span{0, 10 * time.Minute}},
	{name: "repo.connect_timeout", kind: span{100 * time.Millisecond, 5 * time.Minute}},
	{name: "repo.retry_for", kind: span{0, 24 * time.Hour}},
	{name: "repo.auto_migrate", kind: truth{}},
	{name: migrateURLKey, kind: hidden{}},
	{name: readURLKey, kind: hidden{}},
	{name: "repo.allow_network_filesystem", kind: truth{}},
	{name: "store.retry_for", kind: span{0, 24 * time.Hour}},
	{name: storePathsKey, kind: storePairs},
	{name: "prepare.space", kind: label},
	{name: "prepare.store", kind: path},
	{name: "prepare.shard_size", kind: size{128, 512 << 20}},
	{name: "prepare.profile", kind: choice{"unixfs-v1-2025", "guppy"}},
	{name: "prepare.workers", kind: whole{0, 1024}},
	{name: "prepare.read_ahead", kind: whole{1, 4096}},
	{name: "prepare.piece_cid", kind: truth{}},
	{name: "prepare.exclude", kind: patterns},
	{name: "prepare.exclude_file", kind: path},
	{name: "prepare.symlinks", kind: choice{"preserve", "follow", "skip"}},
	{name: "prepare.on_error", kind: choice{"fail", "skip"}},
	{name: "prepare.reread", kind: truth{}},
	{name: "prepare.ignore_inode", kind: truth{}},
	{name: "prepare.ignore_ctime", kind: truth{}},
	{name: "prepare.mtime_window", kind: span{0, time.Hour}},
	{name: layoutKey, kind: choice{string(blobindex.Storacha), string(blobindex.Forge), string(blobindex.Spec)}},
	{name: slicesKey, kind: whole{blobindex.MinSlices, blobindex.Storacha.MaxSlices()}},
	{name: "worker.lease", kind: span{500 * time.Millisecond, time.Hour}},
	{name: "worker.stall_timeout", kind: span{time.Second, 24 * time.Hour}},
	{name: "worker.max_attempts", kind: whole{1, 1000}},
	{name: "worker.run_ahead", kind: whole{1, 1000}},
	{name: sourcePathsKey, kind: pairs},
	{name: "serve.listen", kind: textKind{"an address to listen at, such as \"127.0.0.1:8080\"", isListen}},
	{name: "serve.max_requests", kind: whole{1, 10_000}},
	{name: "serve.timeout", kind: span{time.Second, time.Hour}},
	{name: "log.level", kind: choice{"debug", "info", "warn", "error"}},
	{name: "log.format", kind: choice{LogAuto, LogText, LogJSON}},
}

// env returns the name of the key's full environment variable.
func (k keySpec) env() string {
	return envPrefix + strings.ToUpper(strings.ReplaceAll(k.name, ".", "_"))
}

func findKey(name string) (keySpec, bool) {
	for _, k := range keys {
		if k.name == name {
			return k, true
		}
	}
	return keySpec{}, false
}

// Choices returns the values that a setting may have if they can be listed, and nil for other settings.
func Choices(name string) []string {
	known, _ := findKey(name)
	listed, _ := known.kind.(choice)
	return slices.DeleteFunc(slices.Clone(listed), func(value string) bool { return value == "" })
}

func isSection(name string) bool {
	for _, k := range keys {
		if strings.HasPrefix(k.name, name+".") {
			return true
		}
	}
	return false
}
