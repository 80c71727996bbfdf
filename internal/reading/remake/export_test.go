package remake

// Hold says how many spools are kept that nobody reads.
func (r *Remaker) Hold(most int) { r.idle.Resize(most) }

// Held is how many spools there are.
func (r *Remaker) Held() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.spools)
}

// Ended is closed when nothing may be made any more.
func (r *Remaker) Ended() <-chan struct{} { return r.ctx.Done() }
