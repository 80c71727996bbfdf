package config

import (
	"strings"
	"time"

	"github.com/guppy-prep/guppy/dialect"
)

const (
	envPrefix = "GUPPY_"
	// Variables of the project's own tests are not settings.
	envTestPrefix = "GUPPY_TEST_"
)

// key is one setting.
type key struct {
	name  string
	kind  kind
	short string // a second, shorter environment variable
}

// keys lists every setting in the order in which they are shown.
var keys = []key{
	{name: "repo.data_dir", kind: directory, short: "GUPPY_DATA_DIR"},
	{name: typeKey, kind: append(choice(dialect.Names()), ""), short: "GUPPY_DATABASE_TYPE"},
	{name: urlKey, kind: hidden{}, short: "GUPPY_DATABASE_URL"},
	{name: passwordFileKey, kind: path},
	{name: "repo.max_open_conns", kind: whole{0, 1000}},
	{name: "repo.max_idle_conns", kind: whole{0, 1000}},
	{name: "repo.conn_max_lifetime", kind: span{0, 24 * time.Hour}},
	{name: "repo.conn_max_idle_time", kind: span{0, 24 * time.Hour}},
	{name: "repo.busy_timeout", kind: span{0, 10 * time.Minute}},
	{name: "repo.connect_timeout", kind: span{100 * time.Millisecond, 5 * time.Minute}},
	{name: "repo.retry_for", kind: span{0, 24 * time.Hour}},
	{name: "repo.auto_migrate", kind: truth{}},
	{name: "repo.allow_network_filesystem", kind: truth{}},
	{name: "prepare.space", kind: label},
	{name: "prepare.store", kind: path},
	{name: "prepare.shard_size", kind: size{128, 512 << 20}},
	{name: "prepare.profile", kind: choice{"unixfs-v1-2025", "guppy"}},
	{name: "prepare.workers", kind: whole{0, 1024}},
	{name: "prepare.read_ahead", kind: whole{1, 1024}},
	{name: "prepare.exclude", kind: patterns{}},
	{name: "prepare.exclude_file", kind: path},
	{name: "prepare.symlinks", kind: choice{"preserve", "follow", "skip"}},
	{name: "prepare.on_error", kind: choice{"fail", "skip"}},
	{name: "log.level", kind: choice{"debug", "info", "warn", "error"}},
	{name: "log.format", kind: choice{"text", "json"}},
}

// env is the key's full environment variable.
func (k key) env() string {
	return envPrefix + strings.ToUpper(strings.ReplaceAll(k.name, ".", "_"))
}

func findKey(name string) (key, bool) {
	for _, k := range keys {
		if k.name == name {
			return k, true
		}
	}
	return key{}, false
}

func isSection(name string) bool {
	for _, k := range keys {
		if strings.HasPrefix(k.name, name+".") {
			return true
		}
	}
	return false
}
