package sqlrepo

import "context"

// Notify tells other processes that there is something new, where the engine can. They look for it by themselves if
// that fails.
func (r *Repository) Notify(ctx context.Context) error {
	return r.classified("notify others", r.db.Notify(ctx))
}

// Listen calls wake for each time that another process notifies, until ctx ends. Where the engine can't tell, it
// returns at once.
func (r *Repository) Listen(ctx context.Context, wake func()) error {
	return r.classified("listen to others", r.db.Listen(ctx, wake))
}
