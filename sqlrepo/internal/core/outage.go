package core

import "sync"

// outage logs an outage once when it begins and once when it ends, however many transactions wait for the database.
type outage struct {
	mu      sync.Mutex
	waiting int
}

func (o *outage) began(db *DB, doing string, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.waiting++
	if o.waiting == 1 {
		db.Log.Warn("the database is away; retrying", "doing", doing, "for", db.retryFor, "error", db.Explain(err))
	}
}

// ended logs the end of an outage when the last that waited has succeeded. One that gave up does not know of the
// end.
func (o *outage) ended(db *DB, doing string, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.waiting--
	if o.waiting == 0 && err == nil {
		db.Log.Info("the database is back", "doing", doing)
	}
}
