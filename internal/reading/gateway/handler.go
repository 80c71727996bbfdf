// Package gateway serves blocks of the repository as a read-only IPFS gateway over HTTP.
package gateway

import (
	"log/slog"
	"net/http"
	"time"

	"github.com/ipfs/boxo/blockservice"
	boxo "github.com/ipfs/boxo/gateway"
	"github.com/prometheus/client_golang/prometheus"
)

// Options configures a gateway.
type Options struct {
	// MaxRequests is the largest number of requests answered at a time.
	MaxRequests int
	// Timeout limits the time to read a block, and the time that a client may take to accept data.
	Timeout time.Duration
	// LocalNames is true to refuse requests whose host is not a name of this one. A page of another site could
	// otherwise let its own name lead here, and read the answers.
	LocalNames bool
	Log        *slog.Logger
}

// longestRequest replaces boxo's limit of an hour, because a large answer may take its time as long as it makes
// progress.
const longestRequest = 30 * 24 * time.Hour

// NewHandler returns a handler that serves blocks under /ipfs/, as files, directory pages, raw blocks and CARs,
// and a list of roots at /. The handler opens no connection: content that is not among the blocks is not found.
func NewHandler(from Blocks, roots Roots, options Options) (http.Handler, error) {
	service := blockservice.New(blockstore{from, options.Timeout, options.Log}, nil)
	backend, err := boxo.NewBlocksBackend(service, boxo.WithNameSystem(noNames{}))
	if err != nil {
		return nil, err
	}

	mux := http.NewServeMux()
	mux.Handle("/ipfs/", contained(breakIncomplete(boxo.NewHandler(boxo.Config{
		DeserializedResponses: true, NoDNSLink: true, MaxRequestDuration: longestRequest,
		MetricsRegistry: prometheus.NewRegistry(),
	}, backend))))

	mux.Handle("/{$}", rootsPage{roots, options.Log})
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "not found: content is under /ipfs/, and / lists the roots", http.StatusNotFound)
	})

	// Refused requests are logged, too, but do not count against the limit.
	return logged(options.Log, safe(options.LocalNames, limited(options.MaxRequests, patient(options.Timeout, mux)))), nil
}
