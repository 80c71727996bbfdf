package postgres

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/guppy-prep/guppy/dialect"
)

var execModes = map[string]pgx.QueryExecMode{
	"cache_statement": pgx.QueryExecModeCacheStatement,
	"cache_describe":  pgx.QueryExecModeCacheDescribe,
	"describe_exec":   pgx.QueryExecModeDescribeExec,
	"exec":            pgx.QueryExecModeExec,
	"simple_protocol": pgx.QueryExecModeSimpleProtocol,
}

const (
	execModeParameter = "default_query_exec_mode"
	// defaultExecMode takes one round trip per statement and depends on no earlier statement. Bytes are sent as
	// text.
	defaultExecMode = "exec"
)

// ExecModes returns the ways to send statements to a server, as the driver names them.
func ExecModes() []string { return slices.Sorted(maps.Keys(execModes)) }

// ExecMode returns the way in force to send statements to a server: the one that is set, or else the one in the URL.
func ExecMode(s dialect.Settings) string {
	if mode := optionsOf(s).ExecMode; mode != "" {
		return mode
	}
	if mode, named := dialect.URLParameter(s.URL, execModeParameter); named {
		return mode
	}
	return defaultExecMode
}

// execModeKey is the key of Options.ExecMode in the configuration.
const execModeKey = "repo.query_exec_mode"

// Choices implements dialect.Chooser.
func (Engine) Choices(s dialect.Settings) map[string]dialect.Choice {
	if optionsOf(s).ExecMode != "" {
		return nil
	}
	choice := dialect.Choice{Value: ExecMode(s), Reason: "one round trip each"}
	if choice.Value != defaultExecMode {
		choice.Reason = "from the URL"
	}
	return map[string]dialect.Choice{execModeKey: choice}
}

// setExecMode turns off all caches except the one of the mode: behind a pooler, a cached name may be on another
// server.
func setExecMode(s dialect.Settings, config *pgx.ConnConfig) error {
	mode, known := execModes[ExecMode(s)]
	if !known {
		return dialect.SettingsError(fmt.Sprintf("unknown repo.query_exec_mode (allowed: %s)",
			strings.Join(ExecModes(), ", ")))
	}
	if optionsOf(s).TransactionPooler && mode == pgx.QueryExecModeDescribeExec {
		return dialect.SettingsError("repo.query_exec_mode: describe_exec asks and sends in two transactions, which a " +
			"pooler may give to two servers: with repo.pooler set to transaction, leave it empty")
	}

	config.DefaultQueryExecMode = mode
	if mode != pgx.QueryExecModeCacheStatement {
		config.StatementCacheCapacity = 0
	}
	if mode != pgx.QueryExecModeCacheDescribe {
		config.DescriptionCacheCapacity = 0
	}
	return nil
}
