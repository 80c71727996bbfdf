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

// Options say how a gateway serves.
type Options struct {
	// MaxRequests is how many requests are answered at a time.
	MaxRequests int
	// Timeout is how long a block may take to be read, and a client to take what is written to it.
	Timeout time.Duration
	// LocalNames has requests refused that don't name this host as the one they are for: a page of some other site may
	// have its own name lead here, and would be let read what it gets.
	LocalNames bool
	Log        *slog.Logger
}

// longestRequest is in place of boxo's hour: whatever is large takes its time, as long as it goes on.
const longestRequest = 30 * 24 * time.Hour

// NewHandler serves blocks under /ipfs/, as files, directory pages, raw blocks and CARs, and a list of roots at /. It
// opens no connection to anybody: what is not among the blocks is not found.
func NewHandler(from Blocks, roots Roots, options Options) (http.Handler, error) {
	service := blockservice.New(blockstore{from, options.Timeout, options.Log}, nil)
	backend, err := boxo.NewBlocksBackend(service, boxo.WithNameSystem(noNames{}))
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.Handle("/ipfs/", contained(whole(boxo.NewHandler(boxo.Config{
		DeserializedResponses: true, NoDNSLink: true, MaxRequestDuration: longestRequest,
		MetricsRegistry: prometheus.NewRegistry(),
	}, backend))))
	mux.Handle("/{$}", rootsPage{roots, options.Log})
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "nothing is here: content is under /ipfs/, and / lists what there is", http.StatusNotFound)
	})
	return logged(options.Log, safe(options.LocalNames, limited(options.MaxRequests, patient(options.Timeout, mux)))), nil
}
