package migrate

import (
	"context"
	"errors"
	"strings"

	"github.com/jmoiron/sqlx"

	"github.com/guppy-prep/guppy/dialect"
)

// runScript executes the script of a migration in the transaction that the connection is in. The error of a statement
// is a *scriptError.
func runScript(ctx context.Context, db *dialect.DB, conn *sqlx.Conn, text string) error {
	script := dialect.Script{Text: text}
	for _, s := range split(text) {
		script.Statements = append(script.Statements, s.text)
	}

	err := db.RunScript(ctx, conn, script)
	var failed *dialect.StatementError
	if !errors.As(err, &failed) {
		return err
	}
	return locate(text, failed.Done, failed.Position, failed.Err)
}

// locate returns which statement failed: the one that the engine points at in the script, or else the one after those
// that were done. Nothing is done of a script in which it finds an error of syntax.
func locate(script string, done, position int, err error) error {
	offset, line := offsetOf(script, position), lineAt(script, position)
	for i, s := range split(script) {
		if offset < 0 && i == done || offset >= s.start && offset <= s.start+len(s.text) {
			return &scriptError{max(line, s.line), s.beginning(), err}
		}
	}
	return err
}

// lineAt is the line of the character at a position, which the engine counts from 1, or 0 for a position outside.
func lineAt(script string, position int) uint {
	offset := offsetOf(script, position)
	if offset < 0 {
		return 0
	}
	return 1 + uint(strings.Count(script[:offset], "\n"))
}

// offsetOf is where the character at a position begins, in bytes, or -1 for a position outside.
func offsetOf(script string, position int) int {
	for offset := range script {
		if position--; position == 0 {
			return offset
		}
	}
	return -1
}
