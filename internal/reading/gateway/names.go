package gateway

import (
	"context"
	"errors"
	"net/http"

	boxo "github.com/ipfs/boxo/gateway"
	"github.com/ipfs/boxo/namesys"
	"github.com/ipfs/boxo/path"
	"github.com/libp2p/go-libp2p/core/crypto"
)

var errNoNames = boxo.NewErrorStatusCode(errors.New("names are not resolved here: use /ipfs/CID"),
	http.StatusNotImplemented)

// noNames replaces a name system that would ask other hosts.
type noNames struct{}

func (noNames) Resolve(context.Context, path.Path, ...namesys.ResolveOption) (namesys.Result, error) {
	return namesys.Result{}, errNoNames
}

func (noNames) ResolveAsync(context.Context, path.Path, ...namesys.ResolveOption) <-chan namesys.AsyncResult {
	results := make(chan namesys.AsyncResult, 1)
	results <- namesys.AsyncResult{Err: errNoNames}
	close(results)
	return results
}

func (noNames) Publish(context.Context, crypto.PrivKey, path.Path, ...namesys.PublishOption) error {
	return errNoNames
}
