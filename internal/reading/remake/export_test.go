package remake

// Hold sets the number of spools that are kept while nobody reads them.
func (r *Remaker) Hold(most int) { r.idle.Resize(most) }

// Held returns the number of spools.
func (r *Remaker) Held() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.spools)
}

// Ended returns a channel that is closed when no shard may be made any longer.
func (r *Remaker) Ended() <-chan struct{} { return r.ctx.Done() }
