package gateway

import "net/http"

// streamFailed is the header that boxo sets if it can't go on with a CAR or a TAR. By then the client can't see
// it.
const streamFailed = "X-Stream-Error"

// breakIncomplete breaks the connection if an answer that has begun can't be completed. Boxo ends such an answer with a
// line of text, so a client that does not look into the answer would take it for complete.
func breakIncomplete(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next.ServeHTTP(w, r)
		if w.Header().Get(streamFailed) != "" {
			panic(http.ErrAbortHandler)
		}
	})
}
