// Package config loads guppy's settings. The defaults come first, then a YAML or TOML file, then the environment,
// then flags. Each layer overrides the one before it. Unknown settings and invalid values are errors.
package config

import (
	"time"

	"github.com/guppy-prep/guppy/internal/config/secret"
	"github.com/guppy-prep/guppy/internal/formats/blobindex"
	"github.com/guppy-prep/guppy/internal/store"
)

// Config is a complete and checked configuration, as returned by Load.
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
	// Warnings are messages for the operator. They contain no secrets.
	Warnings []string `koanf:"-"`

	origins map[string]Origin
	// unused holds the reasons why settings that were given are not used.
	unused map[string]string
}

// Store configures access to the server of a store.
type Store struct {
	// RetryFor is how long to wait for an S3 server that does not answer.
	RetryFor time.Duration `koanf:"retry_for"`
	// Paths maps the names of stores to their paths or URLs on this host, each as "NAME=PATH". Load expands a leading
	// "~/" of PATH.
	Paths []string `koanf:"paths"`
}

// Repo configures the place of the preparation repository and the access to it.
type Repo struct {
	// DataDir holds guppy's own files. Load expands a leading "~/".
	DataDir string `koanf:"data_dir"`
	// DatabaseType is what was asked for, perhaps nothing: after Load, dialect.Open takes it together with DatabaseURL.
	// Load sets it when the database is named by Host or DBName.
	DatabaseType string `koanf:"database_type"`
	// DatabaseURL names the database unless Host, Port, User and DBName do. In that case, and only then, it is
	// empty after Load. Load expands a leading "~/".
	DatabaseURL secret.String `koanf:"database_url"`
	Host        string        `koanf:"host"`
	// Port is 0 for the default port of the server.
	Port   int    `koanf:"port"`
	User   string `koanf:"user"`
	DBName string `koanf:"dbname"`
	// Password is the password or, after Load, the content of the password file. It is not part of DatabaseURL.
	Password     secret.String `koanf:"password"`
	PasswordFile string        `koanf:"password_file"`
	// DatabasePasswordFile is the former name of PasswordFile.
	DatabasePasswordFile string `koanf:"database_password_file"`
	SSLMode              string `koanf:"sslmode"`
	SSLRootCert          string `koanf:"sslrootcert"`
	SSLCert              string `koanf:"sslcert"`
	SSLKey               string `koanf:"sslkey"`
	// Schema holds the tables on PostgreSQL. If it is "", the server chooses.
	Schema string `koanf:"schema"`
	// Pooler is the kind of pooler between guppy and PostgreSQL.
	Pooler string `koanf:"pooler"`
	// QueryExecMode is "" for the mode that suits the pooler.
	QueryExecMode string `koanf:"query_exec_mode"`

	// MaxOpenConns is 0 to size the pool by the number of workers.
	MaxOpenConns int `koanf:"max_open_conns"`
	// MaxIdleConns is 0 to let as many connections be idle as may be open.
	MaxIdleConns    int           `koanf:"max_idle_conns"`
	ConnMaxLifetime time.Duration `koanf:"conn_max_lifetime"`
	ConnMaxIdleTime time.Duration `koanf:"conn_max_idle_time"`
	// BusyTimeout is how long SQLite waits for another writer.
	BusyTimeout    time.Duration `koanf:"busy_timeout"`
	ConnectTimeout time.Duration `koanf:"connect_timeout"`
	// RetryFor is how long to retry after the database is lost.
	RetryFor    time.Duration `koanf:"retry_for"`
	AutoMigrate bool          `koanf:"auto_migrate"`
	// MigrateURL is the URL used to change the schema, or "" to use the same URL as for everything else. Load sets it to
	// "" if a higher layer names the database.
	MigrateURL secret.String `koanf:"migrate_url"`
	// ReadURL is the URL for commands that only read, such as that of a standby, or "" to use the same URL as for
	// everything else. Load sets it to "" if a higher layer names the database.
	ReadURL                secret.String `koanf:"read_url"`
	AllowNetworkFilesystem bool          `koanf:"allow_network_filesystem"`
}

// Prepare configures how sources become shards.
type Prepare struct {
	Space string `koanf:"space"`
	// Store is, after Load, the name of a store, a directory, or the URL of a store that is not a directory.
	Store string `koanf:"store"`
	// ShardSize is the largest size of a shard, in bytes.
	ShardSize int64  `koanf:"shard_size"`
	Profile   string `koanf:"profile"`
	// Workers is 0 for one worker per CPU.
	Workers int `koanf:"workers"`
	// ReadAhead is the number of reads under way for a shard.
	ReadAhead int `koanf:"read_ahead"`
	// PieceCID is true to compute the piece CIDs of shards.
	PieceCID bool `koanf:"piece_cid"`
	// Exclude holds patterns in the syntax of .gitignore.
	Exclude     []string `koanf:"exclude"`
	ExcludeFile string   `koanf:"exclude_file"`
	Symlinks    string   `koanf:"symlinks"`
	OnError     string   `koanf:"on_error"`
	// Reread is true to read all content again.
	Reread bool `koanf:"reread"`
	// IgnoreInode and IgnoreCtime exclude these attributes when files are compared with an earlier scan.
	IgnoreInode bool `koanf:"ignore_inode"`
	IgnoreCtime bool `koanf:"ignore_ctime"`
	// MtimeWindow is the largest difference between modification times that count as equal.
	MtimeWindow time.Duration `koanf:"mtime_window"`
}

// StoreDirectory returns the directory of the shards, or "" if the store is not a directory.
func (p Prepare) StoreDirectory() string {
	place, _ := store.ParseURL(p.Store) // Load has checked the URL
	return place.Directory
}

// Index configures the indexes of shards.
type Index struct {
	Layout string `koanf:"layout"`
	// MaxSlices is the largest number of slices of an index. Unless it is set, Load limits it to what the layout
	// allows.
	MaxSlices int64 `koanf:"max_slices"`
}

// Worker configures how processes and hosts share work.
type Worker struct {
	// Lease is how long a claim on a piece of work holds without a sign of life.
	Lease time.Duration `koanf:"lease"`
	// StallTimeout is how long a piece of work may make no progress.
	StallTimeout time.Duration `koanf:"stall_timeout"`
	// MaxAttempts is the number of times that a piece of work is tried.
	MaxAttempts int `koanf:"max_attempts"`
	RunAhead    int `koanf:"run_ahead"`
	// SourcePaths maps sources to their paths on this host, each as "SOURCE=PATH". Load expands a leading "~/" of
	// PATH.
	SourcePaths []string `koanf:"source_paths"`
}

// Serve configures the gateway.
type Serve struct {
	// Listen is the address that the gateway listens on.
	Listen string `koanf:"listen"`
	// MaxRequests is the largest number of requests answered at a time.
	MaxRequests int `koanf:"max_requests"`
	// Timeout is the time allowed for finding and reading a block.
	Timeout time.Duration `koanf:"timeout"`
}

// Log configures the log.
type Log struct {
	Level  string `koanf:"level"`
	Format string `koanf:"format"`
}

// The values of Log.Format. LogAuto is for people on a terminal, and LogText otherwise.
const (
	LogAuto = "auto"
	LogText = "text"
	LogJSON = "json"
)

// The values of Repo.Pooler.
const (
	PoolerNone        = "none"
	PoolerTransaction = "transaction"
)

// DefaultShardSize is 256 MiB less the 1/128 that Fr32 padding adds, so a full shard pads to a power of two.
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
		Log:   Log{Level: "info", Format: LogAuto},
	}
}
