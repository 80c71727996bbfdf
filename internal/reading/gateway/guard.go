package gateway

import (
	"log/slog"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/ipfs/boxo/path"
	"github.com/multiformats/go-multihash"
)

// contentPolicy gives each page of content an origin of its own, so that a script in it can read neither the list
// of roots nor the content of other roots.
const contentPolicy = "sandbox allow-scripts allow-popups allow-downloads"

// contained separates content from everything that it is not part of.
func contained(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Security-Policy", contentPolicy)
		if isInline(r.URL.Path) {
			http.Error(w, "an identity CID is not the root of prepared content", http.StatusBadRequest)
			return
		}

		next.ServeHTTP(w, r)
	})
}

// isInline reports whether the root of a path is a CID that contains its bytes. Anybody can make such a link,
// with any bytes.
func isInline(urlPath string) bool {
	parsed, err := path.NewPath(urlPath)
	if err != nil {
		return false
	}
	immutable, err := path.NewImmutablePath(parsed)
	return err == nil && immutable.RootCid().Prefix().MhType == multihash.IDENTITY
}

// safe refuses requests that a read-only gateway has no use for.
func safe(localNames bool, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Content-Type-Options", "nosniff")

		// No handler reads a body, but the server would do so after the answer.
		if r.ContentLength != 0 {
			_ = http.NewResponseController(w).SetReadDeadline(time.Now())
			w.Header().Set("Connection", "close")
		}

		switch {
		case r.Method != http.MethodGet && r.Method != http.MethodHead && r.Method != http.MethodOptions:
			w.Header().Set("Allow", "GET, HEAD, OPTIONS")
			http.Error(w, "the gateway is read-only", http.StatusMethodNotAllowed)
		case localNames && !isLocal(r.Host):
			http.Error(w, "this gateway serves only its own host: use localhost", http.StatusForbidden)
		default:
			next.ServeHTTP(w, r)
		}
	})
}

// isLocal reports whether a host, with or without a port, is a name of this host.
func isLocal(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.ToLower(strings.Trim(strings.TrimSuffix(host, "."), "[]"))
	ip := net.ParseIP(host)
	return host == "localhost" || strings.HasSuffix(host, ".localhost") || ip != nil && ip.IsLoopback()
}

// limited answers at most the given number of requests at a time. It asks the other clients to come again.
func limited(limit int, next http.Handler) http.Handler {
	running := make(chan struct{}, limit)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case running <- struct{}{}:
			defer func() { <-running }()
			next.ServeHTTP(w, r)
		default:
			w.Header().Set("Cache-Control", "no-store")
			w.Header().Set("Retry-After", "1")
			http.Error(w, "too many requests at a time: try again later", http.StatusTooManyRequests)
		}
	})
}

// patient gives up on a client that accepts no data for too long.
func patient(timeout time.Duration, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		writer := &patientWriter{w, http.NewResponseController(w), timeout}
		writer.extend()
		next.ServeHTTP(writer, r)
		writer.extend()
	})
}

// patientWriter limits the time of each write.
type patientWriter struct {
	http.ResponseWriter
	control *http.ResponseController
	timeout time.Duration
}

// extend has no effect on a connection without deadlines.
func (w *patientWriter) extend() { _ = w.control.SetWriteDeadline(time.Now().Add(w.timeout)) }

func (w *patientWriter) Write(p []byte) (int, error) {
	w.extend()
	return w.ResponseWriter.Write(p)
}

func (w *patientWriter) Flush() {
	w.extend()
	_ = w.control.Flush() // the next write returns the error
}

func (w *patientWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// logged logs each request once it is answered.
func logged(log *slog.Logger, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !log.Enabled(r.Context(), slog.LevelDebug) {
			next.ServeHTTP(w, r)
			return
		}

		began, writer := time.Now(), &countingWriter{ResponseWriter: w, status: http.StatusOK}
		defer func() {
			log.Debug("request", "method", r.Method, "path", r.URL.Path, "status", writer.status, "bytes", writer.bytes,
				"took", time.Since(began), "from", r.RemoteAddr)
		}()

		next.ServeHTTP(writer, r)
	})
}

// countingWriter records the status and the size of an answer.
type countingWriter struct {
	http.ResponseWriter
	status int
	bytes  int64
}

func (w *countingWriter) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

func (w *countingWriter) Write(p []byte) (int, error) {
	n, err := w.ResponseWriter.Write(p)
	w.bytes += int64(n)
	return n, err
}

func (w *countingWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
