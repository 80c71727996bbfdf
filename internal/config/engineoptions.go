package config

import (
	"github.com/guppy-prep/guppy/dialect/postgres"
	"github.com/guppy-prep/guppy/dialect/sqlite"
)

// EngineOptions returns the options of all engines, whichever the database is on.
func (r Repo) EngineOptions() []any {
	return []any{
		sqlite.Options{BusyTimeout: r.BusyTimeout, AllowNetworkFilesystem: r.AllowNetworkFilesystem},
		postgres.Options{
			Host: r.Host, Port: r.Port, User: r.User, Database: r.DBName,
			SSLMode: r.SSLMode, SSLRootCert: r.SSLRootCert, SSLCert: r.SSLCert, SSLKey: r.SSLKey,
			Schema: r.Schema, ExecMode: r.QueryExecMode,
			TransactionPooler: r.Pooler == PoolerTransaction, ConnectTimeout: r.ConnectTimeout,
		},
	}
}
