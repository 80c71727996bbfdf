package gateway

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"
)

const (
	// headerTimeout bounds how long a client may take to say what it wants. There is no bound on the whole request: one on
	// reading it would end long answers too.
	headerTimeout = 10 * time.Second
	// idleTimeout bounds how long a connection is kept for the next request.
	idleTimeout = 2 * time.Minute
	// mostHeaderBytes are enough for any path that a browser sends.
	mostHeaderBytes = 64 << 10
	// grace is how long requests may go on when the gateway is to end.
	grace = time.Second
)

// Serve answers requests that come to a listener until ctx ends. Those under way then get a second; Serve returns when
// none is left, with nil unless the listener failed.
func Serve(ctx context.Context, listener net.Listener, handler http.Handler, log *slog.Logger) error {
	requests, abandon := context.WithCancel(context.WithoutCancel(ctx))
	defer abandon()
	running := &running{}
	server := &http.Server{
		Handler: running.count(handler), ReadHeaderTimeout: headerTimeout, IdleTimeout: idleTimeout,
		MaxHeaderBytes: mostHeaderBytes,
		BaseContext:    func(net.Listener) context.Context { return requests },
		ErrorLog:       slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	serving := make(chan error, 1)
	go func() { serving <- server.Serve(listener) }()
	select {
	case err := <-serving:
		return errors.Join(err, end(server, abandon, running))
	case <-ctx.Done():
	}
	err := end(server, abandon, running)
	if failed := <-serving; !errors.Is(failed, http.ErrServerClosed) {
		err = errors.Join(err, failed)
	}
	return err
}

// end waits for requests for a while, and then ends them.
func end(server *http.Server, abandon context.CancelFunc, running *running) error {
	soon, cancel := context.WithTimeout(context.Background(), grace)
	defer cancel()
	err := server.Shutdown(soon)
	abandon()
	if errors.Is(err, context.DeadlineExceeded) {
		err = server.Close()
	}
	running.wait()
	return err
}

// running counts the requests under way.
type running struct {
	mu    sync.Mutex
	ended bool
	group sync.WaitGroup
}

func (r *running) begin() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.ended {
		r.group.Add(1)
	}
	return !r.ended
}

// wait lets none begin any more, and waits for the others.
func (r *running) wait() {
	r.mu.Lock()
	r.ended = true
	r.mu.Unlock()
	r.group.Wait()
}

func (r *running) count(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		if !r.begin() {
			http.Error(w, "the gateway ends", http.StatusServiceUnavailable)
			return
		}
		defer r.group.Done()
		next.ServeHTTP(w, request)
	})
}
