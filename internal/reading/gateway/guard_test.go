package gateway

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ipfs/go-cid"

	"github.com/guppy-prep/guppy/internal/reading/blocks"
)

// stuck are blocks whose requests never end.
type stuck struct{ asked chan context.Context }

func (s stuck) Get(ctx context.Context, _ cid.Cid) ([]byte, error) {
	s.asked <- ctx
	<-ctx.Done()
	return nil, context.Cause(ctx)
}

func (s stuck) Size(ctx context.Context, c cid.Cid) (int64, error) {
	_, err := s.Get(ctx, c)
	return 0, err
}

func (s stuck) Has(ctx context.Context, c cid.Cid) (bool, error) {
	_, err := s.Get(ctx, c)
	return false, err
}

const some = "/ipfs/bafkreifzjut3te2nhyekklss27nh3k72ysco7y32koao5eei66wof36n5e"

func handler(t *testing.T, from Blocks, most int, timeout time.Duration) http.Handler {
	t.Helper()
	none := func(context.Context) ([]Root, error) { return nil, nil }
	h, err := NewHandler(from, none, Options{MaxRequests: most, Timeout: timeout, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return listener
}

func TestABlockThatIsNotReadInTimeIsGivenUp(t *testing.T) {
	h := handler(t, stuck{make(chan context.Context, 10)}, 1, time.Millisecond)
	answer := httptest.NewRecorder()
	h.ServeHTTP(answer, httptest.NewRequest(http.MethodGet, some, nil))
	if answer.Code != http.StatusGatewayTimeout {
		t.Errorf("status %d: %s", answer.Code, answer.Body)
	}
}

// TestAClientThatIsGone requires that work for a client ends when the client is gone, and that another client
// gets its place.
func TestAClientThatIsGone(t *testing.T) {
	blocks := stuck{make(chan context.Context, 10)}
	h := handler(t, blocks, 1, time.Hour)

	ctx, leave := context.WithCancel(t.Context())
	var asking sync.WaitGroup
	asking.Go(func() {
		h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequestWithContext(ctx, http.MethodGet, some, nil))
	})

	reading := <-blocks.asked
	answer := httptest.NewRecorder()
	h.ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "/", nil))
	if answer.Code != http.StatusTooManyRequests || answer.Header().Get("Retry-After") == "" {
		t.Errorf("status %d, %v", answer.Code, answer.Header())
	}

	leave()
	asking.Wait()
	if reading.Err() == nil {
		t.Error("its block is read still")
	}

	answer = httptest.NewRecorder()
	h.ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "/", nil))
	if answer.Code != http.StatusOK {
		t.Errorf("status %d: %s", answer.Code, answer.Body)
	}
}

// TestAClientThatTakesNothing reads no byte of an endless answer.
func TestAClientThatTakesNothing(t *testing.T) {
	failed := make(chan error, 1)
	endless := patient(50*time.Millisecond, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		for {
			if _, err := w.Write(make([]byte, 1<<20)); err != nil {
				failed <- err
				return
			}
		}
	}))

	ctx, stop := context.WithCancel(t.Context())
	listener := listen(t)
	var serving sync.WaitGroup
	serving.Go(func() { _ = Serve(ctx, listener, endless, slog.New(slog.DiscardHandler)) })
	defer serving.Wait()
	defer stop()

	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close() //nolint:errcheck // nothing is expected of it

	if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"); err != nil {
		t.Fatal(err)
	}

	var timeout net.Error
	if err := <-failed; !errors.As(err, &timeout) || !timeout.Timeout() {
		t.Errorf("the write failed with %v", err)
	}
}

// TestTheEnd ends the gateway during a request that would never end.
func TestTheEnd(t *testing.T) {
	blocks := stuck{make(chan context.Context, 10)}
	listener := listen(t)
	ctx, stop := context.WithCancel(t.Context())

	var serving sync.WaitGroup
	serving.Go(func() {
		if err := Serve(ctx, listener, handler(t, blocks, 10, time.Hour), slog.New(slog.DiscardHandler)); err != nil {
			t.Error(err)
		}
	})

	var asking sync.WaitGroup
	asking.Go(func() {
		answer, err := http.Get("http://" + listener.Addr().String() + some)
		if err == nil {
			_ = answer.Body.Close()
		}
	})

	reading := <-blocks.asked
	stop()
	serving.Wait()
	asking.Wait()

	if reading.Err() == nil {
		t.Error("a block is read still")
	}
	if _, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", listener.Addr().String()); err == nil {
		t.Error("somebody listens still")
	}
}

func TestAFailureThatIsTheDatabases(t *testing.T) {
	h := handler(t, failing{}, 1, time.Hour)
	answer := httptest.NewRecorder()
	h.ServeHTTP(answer, httptest.NewRequest(http.MethodGet, some, nil))
	if answer.Code != http.StatusServiceUnavailable || strings.Contains(answer.Body.String(), "secret") {
		t.Errorf("status %d: %s", answer.Code, answer.Body)
	}
}

// failing are blocks that can't be read now.
type failing struct{}

func (failing) Get(context.Context, cid.Cid) ([]byte, error) {
	return nil, &blocks.BlockError{Cause: io.ErrNoProgress, ShardCID: "secret"}
}

func (f failing) Size(ctx context.Context, c cid.Cid) (int64, error) {
	_, err := f.Get(ctx, c)
	return 0, err
}

func (f failing) Has(ctx context.Context, c cid.Cid) (bool, error) {
	_, err := f.Get(ctx, c)
	return false, err
}
