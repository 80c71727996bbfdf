package dialect

import "errors"

// The errors of databases that can't be opened.
var (
	// ErrSettings is returned for settings that name no database that could be opened.
	ErrSettings = errors.New("database settings")
	// ErrSchema is returned for a schema that is not there or can't be used; the error's text says what to do.
	ErrSchema = errors.New("database schema")
)

// SettingsError is an ErrSettings with a complete text. The text quotes nothing of a URL, which may hold a password
// anywhere.
type SettingsError string

func (e SettingsError) Error() string { return string(e) }

// Is reports whether target is ErrSettings.
func (SettingsError) Is(target error) bool { return target == ErrSettings }

// NoFileError is returned for a missing database file that must not be made.
type NoFileError struct{ File string }

func (e *NoFileError) Error() string { return "no database file at " + e.File }

// Advised is an error with advice on what to do.
type Advised struct {
	err    error
	advice string
}

// NewAdvised returns an error with advice, which names the next command or setting.
func NewAdvised(err error, advice string) *Advised { return &Advised{err, advice} }

func (e *Advised) Error() string { return e.err.Error() }

func (e *Advised) Unwrap() error { return e.err }

// Advice returns the next command or setting, for a line of its own.
func (e *Advised) Advice() string { return e.advice }
