package dialect

// Advised is an error with what can be done about it.
type Advised struct {
	err    error
	advice string
}

func (e *Advised) Error() string { return e.err.Error() }

func (e *Advised) Unwrap() error { return e.err }

// Advice names the next command or setting, for a line of its own.
func (e *Advised) Advice() string { return e.advice }

// Explain adds to an error of the database what a driver does not say: which setting is behind it, or which file system
// is full. What can be done comes as an Advised error.
func (db *DB) Explain(err error) error { return db.explained(err, false) }

// ExplainChange is Explain for an error of a change to the schema.
func (db *DB) ExplainChange(err error) error { return db.explained(err, true) }

func (db *DB) explained(err error, schema bool) error {
	if err == nil || db.explain == nil {
		return err
	}
	return db.explain(db.Settings, err, schema)
}
