// Package config loads guppy's settings: defaults, then a YAML or TOML file, then the environment, then flags, each
// layer going over the one before it. A setting that is unknown or that makes no sense is refused, never guessed at.
package config

import (
	"time"

	"github.com/guppy-prep/guppy/internal/secret"
)

// Config is a complete, checked configuration, as Load returns it.
type Config struct {
	Repo    Repo    `koanf:"repo"`
	Prepare Prepare `koanf:"prepare"`
	Log     Log     `koanf:"log"`

	// File is the configuration file that was read, or "".
	File string `koanf:"-"`
	// Warnings are for the operator to see; they name no secrets.
	Warnings []string `koanf:"-"`

	origins map[string]Origin
}

// Repo says where the preparation repository is and how to talk to it.
type Repo struct {
	// DataDir holds guppy's own files. Load expands a leading "~/".
	DataDir string `koanf:"data_dir"`
	// DatabaseType is what was asked for, perhaps nothing: after Load, dialect.For takes it together with DatabaseURL.
	DatabaseType string `koanf:"database_type"`
	// DatabaseURL is never empty after Load, which expands a leading "~/".
	DatabaseURL          secret.String `koanf:"database_url"`
	DatabasePasswordFile string        `koanf:"database_password_file"`
	// Password is what DatabasePasswordFile holds; it is not part of DatabaseURL.
	Password secret.String `koanf:"-"`

	// MaxOpenConns is 0 when the pool is to be sized from the number of workers.
	MaxOpenConns int `koanf:"max_open_conns"`
	// MaxIdleConns is 0 when as many connections may be idle as may be open.
	MaxIdleConns    int           `koanf:"max_idle_conns"`
	ConnMaxLifetime time.Duration `koanf:"conn_max_lifetime"`
	ConnMaxIdleTime time.Duration `koanf:"conn_max_idle_time"`
	// BusyTimeout is how long SQLite waits for another writer.
	BusyTimeout    time.Duration `koanf:"busy_timeout"`
	ConnectTimeout time.Duration `koanf:"connect_timeout"`
	// RetryFor is how long a lost database is retried.
	RetryFor               time.Duration `koanf:"retry_for"`
	AutoMigrate            bool          `koanf:"auto_migrate"`
	AllowNetworkFilesystem bool          `koanf:"allow_network_filesystem"`
}

// Prepare says how sources become shards.
type Prepare struct {
	Space string `koanf:"space"`
	// Store is, after Load, the directory that shards go to.
	Store string `koanf:"store"`
	// ShardSize is the most bytes a shard may have.
	ShardSize int64  `koanf:"shard_size"`
	Profile   string `koanf:"profile"`
	// Workers is 0 when there are to be as many as there are CPUs.
	Workers int `koanf:"workers"`
	// ReadAhead is the number of files that are read ahead within a shard.
	ReadAhead int `koanf:"read_ahead"`
	// Exclude has patterns in the syntax of .gitignore.
	Exclude     []string `koanf:"exclude"`
	ExcludeFile string   `koanf:"exclude_file"`
	Symlinks    string   `koanf:"symlinks"`
	OnError     string   `koanf:"on_error"`
}

// Log says what is logged, and how.
type Log struct {
	Level  string `koanf:"level"`
	Format string `koanf:"format"`
}

// DefaultShardSize is 256 MiB less the 1/128 that Fr32 padding adds, so that a full shard pads to a power of two.
const DefaultShardSize = 256 << 20 / 128 * 127

func defaults() Config {
	return Config{
		Repo: Repo{
			DataDir:         "~/.guppy",
			ConnMaxLifetime: 30 * time.Minute,
			ConnMaxIdleTime: 5 * time.Minute,
			BusyTimeout:     30 * time.Second,
			ConnectTimeout:  10 * time.Second,
			RetryFor:        10 * time.Minute,
		},
		Prepare: Prepare{
			Space:     "default",
			ShardSize: DefaultShardSize,
			Profile:   "unixfs-v1-2025",
			ReadAhead: 16,
			Symlinks:  "preserve",
			OnError:   "fail",
		},
		Log: Log{Level: "info", Format: "text"},
	}
}
