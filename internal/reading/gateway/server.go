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
	// headerTimeout limits the time that a client may take to send the headers of a request. Nothing limits the
	// time of a whole request: a limit on reading it would also end long answers.
	headerTimeout = 10 * time.Second
	// idleTimeout is how long a connection is kept for the next request.
	idleTimeout = 2 * time.Minute
	// mostHeaderBytes is enough for any path that a browser sends.
	mostHeaderBytes = 64 << 10
	// grace is how long requests may continue after the gateway is asked to stop.
	grace = time.Second
)

// Serve answers the requests of a listener until ctx ends. Requests under way then get a second to finish. Serve
// returns when no request is left. It returns nil unless the listener failed.
func Serve(ctx context.Context, listener net.Listener, handler http.Handler, log *slog.Logger) error {
	// Requests go on after ctx ends, until their time is over.
	requests, abandon := context.WithCancel(context.WithoutCancel(ctx))
	defer abandon()

	running := &requestCounter{}

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

// end waits for requests for a while, then ends them.
func end(server *http.Server, abandon context.CancelFunc, running *requestCounter) error {
	soon, cancel := context.WithTimeout(context.Background(), grace)
	defer cancel()

	err := server.Shutdown(soon)
	abandon()

	if errors.Is(err, context.DeadlineExceeded) {
		err = server.Close()
	}

	// Close does not wait for handlers. They must not outlive the blocks that they read.
	running.wait()
	return err
}

// requestCounter counts the requests under way.
type requestCounter struct {
	mu    sync.Mutex
	ended bool
	group sync.WaitGroup
}

func (r *requestCounter) begin() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.ended {
		r.group.Add(1)
	}
	return !r.ended
}

// wait keeps further requests from beginning and waits for the others.
func (r *requestCounter) wait() {
	r.mu.Lock()
	r.ended = true
	r.mu.Unlock()
	r.group.Wait()
}

func (r *requestCounter) count(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		if !r.begin() {
			http.Error(w, "the gateway is shutting down", http.StatusServiceUnavailable)
			return
		}
		defer r.group.Done()
		next.ServeHTTP(w, request)
	})
}
