package postgres

import (
	"slices"
	"strconv"
	"time"

	"github.com/guppy-prep/guppy/dialect"
)

// Options are the settings of PostgreSQL alone. Empty options are up to the URL or the driver.
type Options struct {
	// Host, Port, User and Database name a database if there is no URL. Host may be a list with commas, or the
	// directory of a Unix socket.
	Host     string
	Port     int
	User     string
	Database string
	// SSLMode and the paths of certificate files have the same meaning as in PostgreSQL's own programs.
	SSLMode, SSLRootCert, SSLCert, SSLKey string
	// Schema holds all tables. It must be there: dialect.MakeSchema makes it.
	Schema string
	// ExecMode is one of ExecModes.
	ExecMode string
	// TransactionPooler is true if a pooler between guppy and the server gives a connection to other clients after
	// each transaction.
	TransactionPooler bool
	// ConnectTimeout bounds one attempt to connect; 0 means 10 s.
	ConnectTimeout time.Duration
	// SilenceLimit is how long a server may be silent before it is asked, over another connection, whether it is
	// still at work; 0 means 20 s. If it is not, the connection is given up.
	SilenceLimit time.Duration
}

func optionsOf(s dialect.Settings) Options {
	options := dialect.OptionsOf[Options](s)
	if options.ConnectTimeout == 0 {
		options.ConnectTimeout = 10 * time.Second
	}
	if options.SilenceLimit == 0 {
		options.SilenceLimit = defaultSilence
	}
	return options
}

// address returns the part of a connection string that names the database.
func (o Options) address() []keyword {
	port := ""
	if o.Port != 0 {
		port = strconv.Itoa(o.Port)
	}
	return given(keyword{"host", o.Host}, keyword{"port", port}, keyword{"user", o.User}, keyword{"dbname", o.Database})
}

// encryption returns the part of a connection string that asks for TLS.
func (o Options) encryption() []keyword {
	return given(keyword{"sslmode", o.SSLMode}, keyword{"sslrootcert", o.SSLRootCert},
		keyword{"sslcert", o.SSLCert}, keyword{"sslkey", o.SSLKey})
}

func given(list ...keyword) []keyword {
	return slices.DeleteFunc(list, func(k keyword) bool { return k.value == "" })
}
