package dialect

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
)

// Server says where a database server is and how to talk to it. What is left empty is up to the URL or the driver.
type Server struct {
	// Host may be a list with commas, or the directory of a Unix socket.
	Host string
	Port int
	User string
	// Database is the database's name.
	Database string
	// SSLMode and the paths of certificate files are as PostgreSQL's own programs have them.
	SSLMode, SSLRootCert, SSLCert, SSLKey string
	// Schema holds all tables. It must be there: MakeSchema makes it.
	Schema string
	// ExecMode is one of ExecModes.
	ExecMode string
}

// Dialect is the engine that the settings are for. Errors are those of For.
func (s Settings) Dialect() (Dialect, error) {
	if s.Type == "" && s.URL == "" && (s.Server.Host != "" || s.Server.Database != "") {
		return Postgres(), nil
	}
	return For(s.Type, s.URL)
}

// MakeSchema makes the schema that the settings name, if they name one and it is not there. Only then can Open succeed.
// Any number of processes may do so at the same time.
func MakeSchema(ctx context.Context, s Settings) (err error) {
	d, err := s.Dialect()
	if err != nil || d.MissingSchema == nil || s.Server.Schema == "" {
		return err
	}
	s.SchemaMayLack = true
	db, err := Open(ctx, s)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	statement, err := d.MissingSchema(ctx, db)
	if err != nil || statement == "" {
		return err
	}
	_, err = db.Writer.ExecContext(ctx, statement)
	// Two that make it at the same time may both find it missing.
	if err != nil && d.Classify(err) != Exists {
		return fmt.Errorf("make schema %q: %w", s.Server.Schema, db.ExplainChange(err))
	}
	return nil
}

// URLParameter is the value of a parameter in a database URL or connection string, if it has that.
func URLParameter(location Secret, name string) (value string, found bool) {
	text := location.Reveal()
	if isKeywords(text) {
		list, _ := cutKeywords(text)
		for _, k := range list {
			if k.name == name {
				value, found = k.value, true
			}
		}
		return value, found
	}
	query, _ := url.ParseQuery(cutURL(text).query)
	values := query[name]
	if isPlainPath(text) || len(values) == 0 {
		return "", false
	}
	return values[len(values)-1], true
}

// address is how a connection string names the database.
func (s Server) address() []keyword {
	port := ""
	if s.Port != 0 {
		port = strconv.Itoa(s.Port)
	}
	return given(keyword{"host", s.Host}, keyword{"port", port}, keyword{"user", s.User}, keyword{"dbname", s.Database})
}

// encryption is how a connection string asks for TLS.
func (s Server) encryption() []keyword {
	return given(keyword{"sslmode", s.SSLMode}, keyword{"sslrootcert", s.SSLRootCert},
		keyword{"sslcert", s.SSLCert}, keyword{"sslkey", s.SSLKey})
}

func given(list ...keyword) []keyword {
	return slices.DeleteFunc(list, func(k keyword) bool { return k.value == "" })
}
