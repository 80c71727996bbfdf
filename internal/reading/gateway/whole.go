package gateway

import "net/http"

// streamFailed is what boxo notes when it has begun a CAR or a TAR and can't go on, too late for the client to see it.
const streamFailed = "X-Stream-Error"

// whole has the connection broken under an answer that has begun and can't be completed. Boxo ends it with a line of
// text, so that a client which does not look into it would take it for all.
func whole(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next.ServeHTTP(w, r)
		if w.Header().Get(streamFailed) != "" {
			panic(http.ErrAbortHandler)
		}
	})
}
