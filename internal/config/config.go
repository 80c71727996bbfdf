// Package config loads guppy's settings: defaults, then a YAML or TOML file, then the environment, then flags, each
// layer going over the one before it. A setting that is unknown or that makes no sense is refused, never guessed at.
package config

import (
	"time"

	"github.com/guppy-prep/guppy/internal/formats/blobindex"
	"github.com/guppy-prep/guppy/internal/secret"
	"github.com/guppy-prep/guppy/internal/store"
)

// Config is a complete, checked configuration, as Load returns it.
type Config struct {
	Repo    Repo    `koanf:"repo"`
	Store   Store   `koanf:"store"`
	Prepare Prepare `koanf:"prepare"`
	Index   Index   `koanf:"index"`
	Worker  Worker  `koanf:"worker"`
	Serve   Serve   `koanf:"serve"`
	Log     Log     `koanf:"log"`

	// File is the configuration file that was read, or "".
	File string `koanf:"-"`
	// Warnings are for the operator to see; they name no secrets.
	Warnings []string `koanf:"-"`

	origins map[string]Origin
}

// Store says how to talk to the server of a store.
type Store struct {
	// RetryFor is how long an S3 server that is away is waited for.
	RetryFor time.Duration `koanf:"retry_for"`
}

// Repo says where the preparation repository is and how to talk to it.
type Repo struct {
	// DataDir holds guppy's own files. Load expands a leading "~/".
	DataDir string `koanf:"data_dir"`
	// DatabaseType is what was asked for, perhaps nothing: after Load, dialect.Open takes it together with DatabaseURL.
	// Load sets it when the database is named by Host or DBName.
	DatabaseType string `koanf:"database_type"`
	// DatabaseURL names the database unless Host, Port, User and DBName do: then, and only then, it is empty after Load,
	// which expands a leading "~/".
	DatabaseURL secret.String `koanf:"database_url"`
	Host        string        `koanf:"host"`
	// Port is 0 for the server's usual one.
	Port   int    `koanf:"port"`
	User   string `koanf:"user"`
	DBName string `koanf:"dbname"`
	// Password is, after Load, also what a password file holds. It is not part of DatabaseURL.
	Password     secret.String `koanf:"password"`
	PasswordFile string        `koanf:"password_file"`
	// DatabasePasswordFile is the older name of PasswordFile.
	DatabasePasswordFile string `koanf:"database_password_file"`
	SSLMode              string `koanf:"sslmode"`
	SSLRootCert          string `koanf:"sslrootcert"`
	SSLCert              string `koanf:"sslcert"`
	SSLKey               string `koanf:"sslkey"`
	// Schema holds the tables on PostgreSQL; "" leaves it to the server.
	Schema string `koanf:"schema"`
	// Pooler says what kind of pooler stands between guppy and PostgreSQL.
	Pooler string `koanf:"pooler"`
	// QueryExecMode is "" when it is to suit the pooler.
	QueryExecMode string `koanf:"query_exec_mode"`

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
	RetryFor    time.Duration `koanf:"retry_for"`
	AutoMigrate bool          `koanf:"auto_migrate"`
	// MigrateURL is "" unless the schema is to be changed over another URL than that of the rest.
	MigrateURL             secret.String `koanf:"migrate_url"`
	AllowNetworkFilesystem bool          `koanf:"allow_network_filesystem"`
}

// Prepare says how sources become shards.
type Prepare struct {
	Space string `koanf:"space"`
	// Store is, after Load, the directory that shards go to, or the URL of a store that is in none.
	Store string `koanf:"store"`
	// ShardSize is the most bytes a shard may have.
	ShardSize int64  `koanf:"shard_size"`
	Profile   string `koanf:"profile"`
	// Workers is 0 when there are to be as many as there are CPUs.
	Workers int `koanf:"workers"`
	// ReadAhead is how many reads are under way for a shard.
	ReadAhead int `koanf:"read_ahead"`
	// PieceCID has the piece CIDs of shards computed.
	PieceCID bool `koanf:"piece_cid"`
	// Exclude has patterns in the syntax of .gitignore.
	Exclude     []string `koanf:"exclude"`
	ExcludeFile string   `koanf:"exclude_file"`
	Symlinks    string   `koanf:"symlinks"`
	OnError     string   `koanf:"on_error"`
	// Reread has all content read again.
	Reread bool `koanf:"reread"`
	// IgnoreInode and IgnoreCtime leave these out of comparisons of files with what was scanned before.
	IgnoreInode bool `koanf:"ignore_inode"`
	IgnoreCtime bool `koanf:"ignore_ctime"`
	// MtimeWindow is how far apart times of modification may lie that count as the same.
	MtimeWindow time.Duration `koanf:"mtime_window"`
}

// StoreDirectory is the directory that shards go to, "" when they go to none.
func (p Prepare) StoreDirectory() string {
	place, _ := store.ParseURL(p.Store) // Load has looked at it
	return place.Directory
}

// Index says how shards are indexed.
type Index struct {
	Layout string `koanf:"layout"`
	// MaxSlices is the most slices of an index. Load makes it what the layout allows unless it is set.
	MaxSlices int64 `koanf:"max_slices"`
}

// Worker says how work is shared between processes and hosts.
type Worker struct {
	// Lease is how long a claim on a piece of work holds without a sign of life.
	Lease time.Duration `koanf:"lease"`
	// StallTimeout is how long a piece of work may make no progress.
	StallTimeout time.Duration `koanf:"stall_timeout"`
	// MaxAttempts is how often a piece of work is tried.
	MaxAttempts int `koanf:"max_attempts"`
	RunAhead    int `koanf:"run_ahead"`
	// SourcePaths has "SOURCE=PATH": where sources are on this host. Load expands a "~/" that PATH begins with.
	SourcePaths []string `koanf:"source_paths"`
}

// Serve says how the gateway serves.
type Serve struct {
	// Listen is where it listens.
	Listen string `koanf:"listen"`
	// MaxRequests is how many requests are answered at a time.
	MaxRequests int `koanf:"max_requests"`
	// Timeout is how long finding and reading a block may take.
	Timeout time.Duration `koanf:"timeout"`
}

// Log says what is logged, and how.
type Log struct {
	Level  string `koanf:"level"`
	Format string `koanf:"format"`
}

// The kinds of pooler.
const (
	PoolerNone        = "none"
	PoolerTransaction = "transaction"
)

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
			Pooler:          PoolerNone,
		},
		Store: Store{RetryFor: 10 * time.Minute},
		Prepare: Prepare{
			Space:     "default",
			ShardSize: DefaultShardSize,
			Profile:   "unixfs-v1-2025",
			ReadAhead: 1024,
			Symlinks:  "preserve",
			OnError:   "fail",
		},
		Index: Index{Layout: string(blobindex.Storacha), MaxSlices: 26_000},
		Worker: Worker{
			Lease:        time.Minute,
			StallTimeout: 10 * time.Minute,
			MaxAttempts:  5,
			RunAhead:     4,
		},
		Serve: Serve{Listen: "127.0.0.1:8080", MaxRequests: 256, Timeout: 30 * time.Second},
		Log:   Log{Level: "info", Format: "text"},
	}
}
