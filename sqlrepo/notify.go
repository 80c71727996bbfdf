package sqlrepo

import "context"

// Notify informs other processes that there is something new, if the engine can. If that fails, they find out by
// themselves.
func (r *Repository) Notify(ctx context.Context) error {
	return r.classified("notify others", r.db.Notify(ctx))
}

// Listen calls wake each time another process notifies, until ctx ends. It returns at once if the engine can't
// listen.
func (r *Repository) Listen(ctx context.Context, wake func()) error {
	return r.classified("listen to others", r.db.Listen(ctx, wake))
}
