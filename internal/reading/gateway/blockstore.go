package gateway

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	boxo "github.com/ipfs/boxo/gateway"
	block "github.com/ipfs/go-block-format"
	"github.com/ipfs/go-cid"
	format "github.com/ipfs/go-ipld-format"

	"github.com/guppy-prep/guppy/internal/reading/blocks"
	"github.com/guppy-prep/guppy/internal/reading/remake"
)

// Blocks reads blocks that match their CIDs. It returns blocks.ErrNotFound for a block that it does not have.
type Blocks interface {
	Get(ctx context.Context, c cid.Cid) ([]byte, error)
	Size(ctx context.Context, c cid.Cid) (int64, error)
	Has(ctx context.Context, c cid.Cid) (bool, error)
}

var errReadOnly = errors.New("the gateway is read-only")

// blockstore is the store that boxo's gateway reads from. It keeps nothing, so a block that was missing is found
// as soon as it exists.
type blockstore struct {
	blocks  Blocks
	timeout time.Duration
	log     *slog.Logger
}

func (b blockstore) Get(ctx context.Context, c cid.Cid) (block.Block, error) {
	within, cancel := context.WithTimeout(ctx, b.timeout)
	defer cancel()
	data, err := b.blocks.Get(within, c)
	if err != nil {
		return nil, b.failure(within, c, err)
	}
	return block.NewBlockWithCid(data, c)
}

func (b blockstore) GetSize(ctx context.Context, c cid.Cid) (int, error) {
	within, cancel := context.WithTimeout(ctx, b.timeout)
	defer cancel()
	size, err := b.blocks.Size(within, c)
	if err != nil {
		return 0, b.failure(within, c, err)
	}
	return int(size), nil
}

func (b blockstore) Has(ctx context.Context, c cid.Cid) (bool, error) {
	within, cancel := context.WithTimeout(ctx, b.timeout)
	defer cancel()
	found, err := b.blocks.Has(within, c)
	if err != nil {
		return false, b.failure(within, c, err)
	}
	return found, nil
}

// failure returns the error that a client may see. The places of blocks are for the log alone.
func (b blockstore) failure(ctx context.Context, c cid.Cid, err error) error {
	switch {
	case errors.Is(err, blocks.ErrNotFound):
		return format.ErrNotFound{Cid: c}
	case ctx.Err() != nil:
		return context.Cause(ctx)
	}

	b.log.Warn("can't read a block", "cid", c, "error", err)

	switch {
	case errors.Is(err, blocks.ErrDamaged):
		return boxo.NewErrorStatusCode(fmt.Errorf("block %s is damaged in the store", c), http.StatusInternalServerError)
	case errors.Is(err, remake.ErrLost):
		err = fmt.Errorf("block %s is not stored, and its source has changed", c)
		return boxo.NewErrorStatusCode(err, http.StatusInternalServerError)
	}
	return boxo.NewErrorStatusCode(fmt.Errorf("block %s can't be read now", c), http.StatusServiceUnavailable)
}

func (blockstore) Put(context.Context, block.Block) error              { return errReadOnly }
func (blockstore) PutMany(context.Context, []block.Block) error        { return errReadOnly }
func (blockstore) DeleteBlock(context.Context, cid.Cid) error          { return errReadOnly }
func (blockstore) AllKeysChan(context.Context) (<-chan cid.Cid, error) { return nil, errReadOnly }
